import { adminContext } from '../../common/context.js';
import { errorText } from '../../common/errors.js';
import type { ImageFields } from '../../common/images/imageService.js';
import {
  type Argument,
  type ArgumentValues,
  type Category,
  type Command,
  json,
  type ManageEnvironment,
  shown,
} from '../command.js';
import { printTable } from '../table.js';
import { imageConvert } from './imageConvert.js';

const argument = (name: string, help: string, required = false): Argument => ({
  name,
  option: `--${name}`,
  help,
  required,
});

/** Uploads one file. Answers the image's id; null when it failed, which is said. */
async function register(environment: ManageEnvironment, path: string, fields: ImageFields): Promise<string | null> {
  try {
    const data = ReadableStream.from(environment.runtime.files.readChunks(path)) as ReadableStream<Uint8Array>;
    const image = await environment.images().create(adminContext(environment.runtime), fields, data);
    environment.print(`Image registered to ${image.id} (${Number(image.id).toString(16).padStart(8, '0')}).`);
    return image.id;
  } catch (error) {
    environment.print(`Failed to register ${path}: ${errorText(error)}`);
    return null;
  }
}

function fieldsOf(
  values: ArgumentValues,
  format: { disk: string; container: string },
  more: Record<string, string> = {},
): ImageFields {
  const path = values['path'] ?? values['image'] ?? '';
  return {
    name: values['name'] ?? path.split('/').at(-1) ?? path,
    is_public: (values['public'] ?? 'T')[0]!.toUpperCase() === 'T',
    disk_format: format.disk,
    container_format: format.container,
    properties: {
      image_state: 'available',
      project_id: values['owner']!,
      architecture: values['arch'] ?? 'x86_64',
      image_location: 'local',
      ...more,
    },
  };
}

const name = argument('name', 'Image name; the name of the file when absent');
const isPublic = argument('public', "'T' or 'F' (T)");
const arch = argument('arch', 'Architecture (x86_64)');

const imageRegister: Command = {
  summary: 'Upload an image into the image registry.',
  arguments: [
    argument('path', 'Path of the file', true),
    argument('owner', 'Owner: a project', true),
    name,
    isPublic,
    arch,
    argument('cont_format', 'Container format (bare)'),
    argument('disk_format', 'Disk format (raw)'),
    argument('kernel', 'Id of the kernel image'),
    argument('ram', 'Id of the ramdisk image'),
  ],
  async run(environment, values) {
    const format = { container: values['cont_format'] ?? 'bare', disk: values['disk_format'] ?? 'raw' };
    const boot = {
      ...(values['kernel'] && { kernel_id: values['kernel'] }),
      ...(values['ram'] && { ramdisk_id: values['ram'] }),
    };
    return (await register(environment, values['path']!, fieldsOf(values, format, boot))) === null ? 1 : 0;
  },
};

function bootRegister(kind: 'aki' | 'ari', what: string): Command {
  return {
    summary: `Upload a ${what} into the image registry.`,
    arguments: [
      argument('path', 'Path of the file', true),
      argument('owner', 'Owner: a project', true),
      name,
      isPublic,
      arch,
    ],
    async run(environment, values) {
      const fields = fieldsOf(values, { disk: kind, container: kind });
      return (await register(environment, values['path']!, fields)) === null ? 1 : 0;
    },
  };
}

const allRegister: Command = {
  summary: 'Upload an image, kernel and ramdisk into the image registry.',
  arguments: [
    argument('image', 'Path of the image', true),
    argument('kernel', 'Path of the kernel', true),
    argument('ram', 'Path of the ramdisk', true),
    argument('owner', 'Owner: a project', true),
    name,
    isPublic,
    arch,
  ],
  async run(environment, values) {
    const part = async (path: string, kind: string, more: Record<string, string> = {}): Promise<string | null> =>
      register(
        environment,
        path,
        fieldsOf(
          { ...values, path, ...(kind !== 'ami' && { name: undefined }) },
          { disk: kind, container: kind },
          more,
        ),
      );
    const kernel = await part(values['kernel']!, 'aki');
    const ramdisk = kernel === null ? null : await part(values['ram']!, 'ari');
    if (kernel === null || ramdisk === null) return 1;
    return (await part(values['image']!, 'ami', { kernel_id: kernel, ramdisk_id: ramdisk })) === null ? 1 : 0;
  },
};

const list: Command = {
  summary: 'List the images of the image registry',
  arguments: [json],
  async run(environment, values) {
    const images = await environment.images().detail(adminContext(environment.runtime));
    printTable(
      environment,
      values,
      [
        { heading: 'id', width: 8, key: 'id', value: (image) => image.id },
        { heading: 'name', width: 30, key: 'name', value: (image) => image.name },
        { heading: 'status', width: 10, key: 'status', value: (image) => image.status },
        { heading: 'format', width: 8, key: 'container_format', value: (image) => image.container_format },
        { heading: 'size', width: 12, key: 'size', value: (image) => image.size },
        {
          heading: 'public',
          width: 6,
          key: 'is_public',
          value: (image) => (values['json'] ? image.is_public : shown(image.is_public)),
        },
      ],
      images,
    );
  },
};

/** `nova-manage image` (nova 2011.3, bin/nova-manage ImageCommands), and list of our own. */
export const image: Category = {
  commands: {
    all_register: allRegister,
    convert: imageConvert(register),
    image_register: imageRegister,
    kernel_register: bootRegister('aki', 'kernel'),
    list,
    ramdisk_register: bootRegister('ari', 'ramdisk'),
  },
};

import { join, resolve } from 'node:path';
import type { ImageFields } from '../../common/images/imageService.js';
import { type Command, CommandError, type ManageEnvironment } from '../command.js';

/** An image of the objectstore before 2011: a folder with `info.json` and the bits in `image`. */
interface OldImage {
  readonly folder: string;
  readonly info: Readonly<Record<string, unknown>>;
}

/** How an image of each `type` of info.json is registered; kernels and ramdisks first, as machines refer to them. */
const kinds = [
  { type: 'kernel', format: 'aki' },
  { type: 'ramdisk', format: 'ari' },
  { type: 'machine', format: 'ami' },
] as const;

async function readImage(environment: ManageEnvironment, folder: string): Promise<OldImage | undefined> {
  const { files } = environment.runtime;
  const path = join(folder, 'info.json');
  if (!(await files.exists(path)) || !(await files.exists(join(folder, 'image')))) return undefined;
  try {
    const info: unknown = JSON.parse(await files.read(path));
    if (typeof info === 'object' && info !== null) return { folder, info: info as Record<string, unknown> };
  } catch {
    // said below, as for what is no object
  }
  environment.print(`Failed to convert ${folder}: info.json is no JSON object`);
  return undefined;
}

/** `register` uploads one file and answers the image's id, or null when it failed, which is said. */
export function imageConvert(
  register: (environment: ManageEnvironment, path: string, fields: ImageFields) => Promise<string | null>,
): Command {
  return {
    summary: 'Uploads old objectstore images in directory into the image registry: */info.json with the bits in image',
    arguments: [{ name: 'dir', option: '--dir', required: true, help: 'Directory of the old images' }],
    async run(environment, values) {
      const { files } = environment.runtime;
      const directory = resolve(values['dir']!);
      if (!(await files.exists(directory))) throw new CommandError(`${directory} does not exist`);
      const found: OldImage[] = [];
      for (const name of await files.list(directory)) {
        const image = await readImage(environment, join(directory, name));
        if (image !== undefined) found.push(image);
      }
      const newIds = new Map<string, string>();
      let failed = false;
      for (const { type, format } of kinds) {
        for (const { folder, info } of found) {
          const text = (key: string): string | undefined => (typeof info[key] === 'string' ? info[key] : undefined);
          if ((text('type') ?? 'machine') !== type) continue;
          const reference = (key: string): string | undefined => newIds.get(text(key) ?? '');
          const [kernel, ramdisk] = [reference('kernelId'), reference('ramdiskId')];
          const id = await register(environment, join(folder, 'image'), {
            name: text('name') ?? text('imageLocation') ?? text('imageId') ?? folder,
            is_public: info['isPublic'] === true,
            disk_format: format,
            container_format: format,
            properties: {
              image_state: 'available',
              project_id: text('imageOwnerId') ?? '',
              architecture: text('architecture') ?? 'x86_64',
              image_location: text('imageLocation') ?? 'local',
              ...(kernel !== undefined && { kernel_id: kernel }),
              ...(ramdisk !== undefined && { ramdisk_id: ramdisk }),
            },
          });
          if (id === null) failed = true;
          else newIds.set(text('imageId') ?? '', id);
        }
      }
      return failed ? 1 : 0;
    },
  };
}

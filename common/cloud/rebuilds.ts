import type { Context } from '../context.js';
import { setMetadata } from '../db/metadata.js';
import { ApiError, QuotaError } from '../errors.js';
import { requireFit } from '../images/fit.js';
import { randomPassword } from '../passwords.js';
import type { Images } from './images.js';
import type { Quotas } from './quotas.js';
import type { CloudParts } from './parts.js';
import { incorrectState, operate, ownPlaced, refuseLocked } from './instanceOperation.js';

/** What is to be different. Absent stays as it is. */
export interface RebuildWish {
  /** The image service's id. */
  readonly imageRef?: string;
  readonly displayName?: string;
  /** Pairs which are added or changed. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** A new one is made up when absent. */
  readonly adminPassword?: string;
  /** Contents decoded. */
  readonly files?: readonly { readonly path: string; readonly contents: string }[];
}

const possibleIn: readonly string[] = ['active', 'error'];

/** Instances which get a new machine under their old names and addresses (nova 2011.3, nova/compute/api.py rebuild). */
export class Rebuilds {
  constructor(
    private readonly parts: CloudParts,
    private readonly cloud: { readonly images: Images; readonly quotas: Quotas },
  ) {}

  /**
   * Asks for a new machine, from the image wished; local disks are lost, volumes stay. Answers the password of its
   * administrator. Possible while the instance is active, and to get one out of `error`. Throws InstanceNotFound,
   * ImageNotFound, ImageTooLarge, QuotaError (injected files, metadata), ApiError, MessageNotDelivered.
   */
  async rebuild(context: Context, id: number, wish: RebuildWish): Promise<{ adminPassword: string }> {
    const { rpc, runtime } = this.parts;
    const { row } = await ownPlaced(this.parts, context, id);
    refuseLocked(context, row);
    if (!possibleIn.includes(row.vm_state ?? '') || ![null, 'rebuilding'].includes(row.task_state)) {
      throw incorrectState(row);
    }
    const image = await this.cloud.images.get(context, wish.imageRef ?? row.image_ref ?? '');
    this.cloud.images.requireAvailable(image);
    // 2011.3 compares only when an instance is run
    requireFit(image, row.local_gb);
    await this.#checkFiles(context, wish.files ?? []);
    if (wish.metadata !== undefined) await this.#addMetadata(context, id, wish.metadata);
    const adminPassword = wish.adminPassword ?? randomPassword(runtime.random, runtime.flags.password_length);
    const none = runtime.flags.null_kernel;
    const idOf = (property: string): string | null => {
      const value = image.properties[property];
      return value == null || value === '' || value === none ? null : value;
    };
    const ownKernel = wish.imageRef === undefined || wish.imageRef === row.image_ref;
    await operate(this.parts, context, id, {
      taskState: 'rebuilding',
      expected: { vmState: possibleIn, taskState: [null, 'rebuilding'] },
      values: () => ({
        vm_state: 'active',
        image_ref: image.id,
        // 2011.3 boots the new image with the old kernel
        ...(ownKernel ? {} : { kernel_id: idOf('kernel_id'), ramdisk_id: idOf('ramdisk_id') }),
        ...(wish.displayName === undefined ? {} : { display_name: wish.displayName }),
      }),
      tell: (_row, host) =>
        rpc.computeOn(host).cast.rebuild_instance(context, {
          instance_id: id,
          new_pass: adminPassword,
          injected_files: wish.files ?? [],
        }),
    });
    return { adminPassword };
  }

  async #checkFiles(context: Context, files: NonNullable<RebuildWish['files']>): Promise<void> {
    if (files.length === 0) return;
    const limits = await this.cloud.quotas.limits(context);
    const { quota_max_injected_file_path_bytes: longestPath } = this.parts.runtime.flags;
    if (files.length > limits.injected_files) throw tooMuch('OnsetFileLimitExceeded', 'files');
    for (const { path, contents } of files) {
      if (Buffer.byteLength(path) > longestPath) throw tooMuch('OnsetFilePathLimitExceeded', 'bytes in a path');
      if (Buffer.byteLength(contents) > limits.injected_file_content_bytes) {
        throw tooMuch('OnsetFileContentLimitExceeded', 'bytes in a file');
      }
    }
  }

  async #addMetadata(context: Context, id: number, metadata: Readonly<Record<string, string>>): Promise<void> {
    const items = Object.entries(metadata).map(([key, value]) => ({ key, value }));
    await this.cloud.quotas.checkMetadata(context, items, items.length);
    const { metadata_items: limit } = await this.cloud.quotas.limits(context);
    const { result } = await setMetadata(this.parts.db, 'instance', [id], metadata, limit);
    if (result === 'gone') throw new ApiError('The instance is gone', 'IncorrectInstanceState');
    if (result === 'too many') await this.cloud.quotas.checkMetadata(context, items, limit + 1);
  }
}

function tooMuch(code: string, what: string): QuotaError {
  return new QuotaError(`Quota exceeded: too many ${what} to inject`, code);
}

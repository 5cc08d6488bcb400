import type { Context } from '../context.js';
import type { Values } from '../db/db.js';
import { changeInstance, findInstance } from '../db/instances.js';
import { getInstanceTypeByName } from '../db/instanceTypes.js';
import { typeColumns } from '../db/migrations.js';
import { requireGrowth } from '../db/quotas.js';
import type { InstanceRow } from '../db/rows.js';
import { ApiError } from '../errors.js';
import type { Images } from './images.js';
import type { CloudParts } from './parts.js';
import type { GroupRef, SecurityGroups } from './securityGroups.js';
import { incorrectState, ownInstance, refuseLocked } from './instanceOperation.js';

/** EC2's bound; base64 as sent. */
const longestUserData = 64 * 1024;

/** Columns of an instance which its owner may change. Methods throw InstanceNotFound, ApiError when it is locked. */
export class InstanceAttributes {
  constructor(
    private readonly parts: CloudParts,
    private readonly cloud: { readonly images: Images; readonly securityGroups: SecurityGroups },
  ) {}

  /** Changes the texts which a caller gives an instance. */
  async setTexts(context: Context, id: number, texts: { name?: string; description?: string }): Promise<void> {
    const values: Values<'instances'> = {
      ...(texts.name === undefined ? {} : { display_name: checked(texts.name) }),
      ...(texts.description === undefined ? {} : { display_description: checked(texts.description) }),
    };
    await this.#own(context, id);
    if (Object.keys(values).length > 0) await changeInstance(this.parts.db, id, values);
  }

  /**
   * Gives a stopped instance another type, of which its next start makes a machine. Throws InstanceTypeNotFoundByName,
   * QuotaError, ApiError (IncorrectInstanceState).
   */
  async setType(context: Context, id: number, typeName: string): Promise<void> {
    const { db, runtime } = this.parts;
    const row = await this.#own(context, id);
    const type = await getInstanceTypeByName(db, typeName);
    if (type.id === row.instance_type_id) return;
    await db.transaction(async (tx) => {
      await requireGrowth(tx, runtime.flags, row, type);
      if (!(await changeInstance(tx, id, typeColumns(type), stopped))) throw incorrectState(row);
    });
  }

  /** Gives a stopped instance other user data (base64). */
  async setUserData(context: Context, id: number, userData: string): Promise<void> {
    if (Buffer.byteLength(userData) > longestUserData) {
      throw new ApiError('User data is limited to 65536 bytes', 'InvalidParameterValue');
    }
    await this.#setStopped(context, id, { user_data: userData });
  }

  /** Gives a stopped instance another kernel or ramdisk (EC2 id, decimal id or name). Throws ImageNotFound. */
  async setBootImage(context: Context, id: number, kind: 'kernel' | 'ramdisk', image: string): Promise<void> {
    const none = image === this.parts.runtime.flags.null_kernel;
    const found = none
      ? null
      : /^\d{1,10}$/.test(image)
        ? await this.cloud.images.get(context, image)
        : await this.cloud.images.byEc2Id(context, image);
    const value = found?.id ?? null;
    await this.#setStopped(context, id, kind === 'kernel' ? { kernel_id: value } : { ramdisk_id: value });
  }

  /** Puts an instance into these groups, in whatever state it is, and out of all others. Throws SecurityGroupNotFound…. */
  async setGroups(context: Context, id: number, groups: readonly GroupRef[]): Promise<void> {
    await this.cloud.securityGroups.setOfInstance(context, await this.#own(context, id), groups);
  }

  async #setStopped(context: Context, id: number, values: Values<'instances'>): Promise<void> {
    const row = await this.#own(context, id);
    if (!(await changeInstance(this.parts.db, id, values, stopped))) {
      throw incorrectState((await findInstance(this.parts.db, id)) ?? row);
    }
  }

  async #own(context: Context, id: number): Promise<InstanceRow> {
    const row = await ownInstance(this.parts, context, id);
    refuseLocked(context, row);
    return row;
  }
}

const stopped = { vmState: ['stopped'], taskState: [null] };

function checked(text: string): string {
  if (text.length > 255 || text.includes('\0')) {
    throw new ApiError('A text may have at most 255 characters, and no NUL', 'InvalidParameterValue');
  }
  return text;
}

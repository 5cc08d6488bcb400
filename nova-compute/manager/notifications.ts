import type { Context } from '../../common/context.js';
import { getInstanceType } from '../../common/db/instanceTypes.js';
import type { InstanceRow } from '../../common/db/rows.js';
import { NovaError, NovaPlainError, errorText } from '../../common/errors.js';
import type { Delivery } from '../../common/rpc/types.js';
import { pythonTime } from '../../common/time.js';
import type { ComputeParts } from './parts.js';

/**
 * Tells the notification listeners what became of an instance: priority INFO, the usage payload of nova 2011.3
 * (nova/utils.py usage_from_instance), built from the row as given, and `more`. Never throws.
 */
export async function notifyUsage(
  parts: ComputeParts,
  event: 'create' | 'delete' | 'rebuild' | 'resize.prep' | 'resize.confirm' | 'resize.revert',
  instance: InstanceRow,
  more: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await parts.rpc.notify('INFO', async () => ({
    publisher_id: `compute.${parts.runtime.host}`,
    event_type: `compute.instance.${event}`,
    payload: {
      project_id: instance.project_id,
      user_id: instance.user_id,
      instance_id: instance.id,
      instance_type: await typeName(parts, instance.instance_type_id),
      instance_type_id: instance.instance_type_id,
      display_name: instance.display_name,
      created_at: pythonTime(instance.created_at),
      launched_at: pythonTime(instance.launched_at) ?? '',
      image_ref: instance.image_ref,
      ...more,
    },
  }));
}

/** The name of an instance type. Throws InstanceTypeNotFound. */
export async function typeName(parts: ComputeParts, id: number | null): Promise<string | null> {
  return id === null ? null : (await getInstanceType(parts.db, id)).name;
}

/** Arguments whose values are in no notification. The notifier strips keys of this kind once more, at any depth. */
const secretArguments: ReadonlySet<string> = new Set(['admin_password', 'new_pass', 'injected_files', 'file_contents']);

/** The worker's side of one method. */
export type Handler<A, R> = (context: Context, args: A, delivery: Delivery) => Promise<R>;

/**
 * A handler whose failures are told to the notification listeners, with priority ERROR and the method as event type, and
 * cross the wire as `Error` unless they are Nova's own (nova 2011.3, nova/exception.py wrap_exception).
 */
export function wrapped<A extends object, R>(
  parts: ComputeParts,
  method: string,
  handler: Handler<A, R>,
): Handler<A, R> {
  return async (context, args, delivery) => {
    try {
      return await handler(context, args, delivery);
    } catch (error) {
      await notifyFailure(parts, method, context, args, error);
      throw error instanceof NovaError ? error : asPlainError(error);
    }
  };
}

function asPlainError(error: unknown): NovaError {
  const plain = new NovaPlainError(errorText(error));
  if (error instanceof Error && error.stack !== undefined) plain.stack = error.stack;
  return plain;
}

async function notifyFailure(
  parts: ComputeParts,
  method: string,
  context: Context,
  args: object,
  error: unknown,
): Promise<void> {
  const { host } = parts.runtime;
  const safe = Object.entries(args).filter(([name]) => !secretArguments.has(name));
  await parts.rpc.notify('ERROR', {
    publisher_id: `compute.${host}`,
    event_type: method,
    payload: {
      ...Object.fromEntries(safe),
      args: [{ service_name: 'compute', host }],
      exception: error instanceof NovaError ? { kwargs: {}, _error_string: errorText(error) } : {},
      context: {
        user_id: context.userId,
        project_id: context.projectId,
        is_admin: context.isAdmin,
        read_deleted: context.readDeleted,
        roles: context.roles,
        remote_address: context.remoteAddress,
        timestamp: context.timestamp,
        request_id: context.requestId,
        strategy: context.strategy,
      },
    },
  });
}

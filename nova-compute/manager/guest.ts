import type { Context } from '../../common/context.js';
import { InstanceNotRunning, InvalidInput, NovaPlainError, errorText } from '../../common/errors.js';
import { randomPassword } from '../../common/passwords.js';
import type { ComputeRpc, InstanceId } from '../../common/rpc/compute.js';
import type { Delivery } from '../../common/rpc/types.js';
import { powerState } from '../virt/driver.js';
import { unlessLocked } from './locks.js';
import { networkInfoOf } from './building/machineSpec.js';
import { machineName, type ComputeParts } from './parts.js';

type Args<M extends keyof ComputeRpc> = Parameters<ComputeRpc[M]>[0];
type Checked = Promise<null | false>;

const passwordAttempts = 10;
const attemptEveryMs = 1000;

/**
 * Sets the password of the guest's administrator, a new one where the message names none (nova 2011.3,
 * set_admin_password: up to ten attempts, a second apart). Writes no row. Throws InstanceNotFound, and Error when the
 * instance doesn't run or its guest doesn't take the password.
 */
export async function setAdminPassword(
  parts: ComputeParts,
  context: Context,
  args: Args<'set_admin_password'>,
  delivery: Delivery,
): Checked {
  const { runtime, driver, logger } = parts;
  const call = { method: 'set_admin_password', instanceId: args.instance_id, delivery };
  return unlessLocked(parts, context, call, async (instance) => {
    const name = machineName(parts, instance);
    const given = typeof args.new_pass === 'string' && args.new_pass !== '' ? args.new_pass : undefined;
    const password = given ?? randomPassword(runtime.random, runtime.flags.password_length);
    for (let attempt = 1; ; attempt += 1) {
      if ((await driver.info(name))?.state !== powerState.running) throw new NovaPlainError('Instance is not running');
      try {
        await driver.setAdminPassword(name, password);
        logger.audit(`${name}: root password set`);
        return;
      } catch (error) {
        logger.error(`${name}: set_admin_password failed: ${errorText(error).replaceAll(password, '***')}`);
        // the driver's own words could hold the password
        if (attempt === passwordAttempts) throw new NovaPlainError('Internal error');
        await runtime.sleep(attemptEveryMs);
      }
    }
  });
}

/** Writes a file in a guest. Throws InstanceNotFound, InstanceNotRunning. */
export function injectFile(
  parts: ComputeParts,
  context: Context,
  args: Args<'inject_file'>,
  delivery: Delivery,
): Checked {
  const { path, file_contents: contents } = args;
  if (typeof path !== 'string' || path === '') throw new InvalidInput('the path of the file is no text');
  if (typeof contents !== 'string') throw new InvalidInput('the contents of the file are no text');
  return inGuest(parts, context, 'inject_file', args.instance_id, delivery, (name) =>
    parts.driver.injectFile(name, path, contents),
  );
}

/** Has the guest's agent replace itself. */
export function updateAgent(
  parts: ComputeParts,
  context: Context,
  args: Args<'agent_update'>,
  delivery: Delivery,
): Checked {
  return inGuest(parts, context, 'agent_update', args.instance_id, delivery, (name) =>
    parts.driver.updateAgent(name, String(args.url), String(args.md5hash)),
  );
}

/** Has the guest configure its network anew. */
export function resetNetwork(
  parts: ComputeParts,
  context: Context,
  args: Args<'reset_network'>,
  delivery: Delivery,
): Checked {
  return inGuest(parts, context, 'reset_network', args.instance_id, delivery, (name) =>
    parts.driver.resetNetwork(name),
  );
}

/** Tells a guest which interfaces and addresses it has now. */
export function injectNetworkInfo(
  parts: ComputeParts,
  context: Context,
  args: Args<'inject_network_info'>,
  delivery: Delivery,
): Checked {
  const call = { method: 'inject_network_info', instanceId: args.instance_id, delivery };
  return unlessLocked(parts, context, call, async (instance) => {
    const networkInfo = await networkInfoOf(parts, context.elevated(), instance);
    await parts.driver.injectNetworkInfo(machineName(parts, instance), networkInfo);
  });
}

/**
 * Has nova-network give the instance another address, and tells the guest (nova 2011.3, add_fixed_ip_to_instance, which
 * doesn't wait for nova-network, so that the guest may be told what it had before).
 */
export function addFixedIp(
  parts: ComputeParts,
  context: Context,
  args: Args<'add_fixed_ip_to_instance'>,
  delivery: Delivery,
): Checked {
  return withNetworkChanged(parts, context, 'add_fixed_ip_to_instance', args.instance_id, delivery, (id, admin) =>
    parts.rpc.network.call.add_fixed_ip_to_instance(admin, {
      instance_id: id,
      host: parts.runtime.host,
      network_id: args.network_id,
    }),
  );
}

/** Has nova-network take an address from the instance, and tells the guest. */
export function removeFixedIp(
  parts: ComputeParts,
  context: Context,
  args: Args<'remove_fixed_ip_from_instance'>,
  delivery: Delivery,
): Checked {
  return withNetworkChanged(parts, context, 'remove_fixed_ip_from_instance', args.instance_id, delivery, (id, admin) =>
    parts.rpc.network.call.remove_fixed_ip_from_instance(admin, { instance_id: id, address: args.address }),
  );
}

function withNetworkChanged(
  parts: ComputeParts,
  context: Context,
  method: string,
  instanceId: InstanceId,
  delivery: Delivery,
  change: (id: number, admin: Context) => Promise<unknown>,
): Checked {
  return unlessLocked(parts, context, { method, instanceId, delivery }, async (instance) => {
    const admin = context.elevated();
    await change(instance.id, admin);
    const name = machineName(parts, instance);
    const networkInfo = await networkInfoOf(parts, admin, instance);
    if ((await parts.driver.info(name)) === undefined) return;
    await parts.driver.injectNetworkInfo(name, networkInfo);
    await parts.driver.resetNetwork(name);
  });
}

function inGuest(
  parts: ComputeParts,
  context: Context,
  method: string,
  instanceId: InstanceId,
  delivery: Delivery,
  work: (name: string) => Promise<void>,
): Checked {
  return unlessLocked(parts, context, { method, instanceId, delivery }, async (instance) => {
    const name = machineName(parts, instance);
    if ((await parts.driver.info(name)) === undefined) throw new InstanceNotRunning(instance.id);
    await work(name);
  });
}

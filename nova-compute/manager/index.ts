import type { Context } from '../../common/context.js';
import type { DaemonParts } from '../../common/daemon.js';
import type { Manager, PeriodicTask } from '../../common/manager.js';
import { computeMethods, type ComputeRpc } from '../../common/rpc/compute.js';
import type { RpcHandlers } from '../../common/rpc/types.js';
import type { VirtDriver } from '../virt/driver.js';
import { attachVolume } from './attachVolume.js';
import { Capabilities, updateAvailableResource } from './capabilities.js';
import { consoleOutput, diagnostics } from './console.js';
import { detachVolume } from './detachVolume.js';
import { getLock, setLock } from './locks.js';
import { wrapped, type Handler } from './notifications.js';
import { computeParts, type ComputeParts } from './parts.js';
import { followEvents, syncPowerStates } from './powerSync.js';
import { rebootInstance } from './rebootInstance.js';
import { recoverHost, recoverUnfinished } from './recovery.js';
import { runInstance, startInstance } from './runInstance.js';
import { refreshProviderRules, refreshSecurityGroup } from './securityGroups.js';
import { stopInstance } from './stopInstance.js';
import { terminateInstance } from './terminateInstance.js';

/** The work of nova-compute: the instances of one host, on one hypervisor (nova 2011.3, nova/compute/manager.py). */
export class ComputeManager implements Manager<ComputeRpc> {
  readonly methods = computeMethods;
  readonly handlers: RpcHandlers<ComputeRpc>;
  readonly periodicTasks: readonly PeriodicTask[];
  readonly #parts: ComputeParts;
  #connected = false;

  constructor(parts: DaemonParts, driver: VirtDriver) {
    this.#parts = computeParts(parts, driver);
    this.handlers = handlersOf(this.#parts);
    this.periodicTasks = periodicTasksOf(this.#parts);
  }

  /** Connects the hypervisor and brings to an end what a predecessor left half-done. May be repeated after a failure. */
  async initHost(context: Context): Promise<void> {
    if (!this.#connected) {
      await this.#parts.driver.init(this.#parts.runtime.host);
      this.#connected = true;
      void followEvents(this.#parts);
    }
    await recoverHost(this.#parts, context);
  }

  async updateAvailableResource(): Promise<void> {
    await updateAvailableResource(this.#parts);
  }

  async close(): Promise<void> {
    await this.#parts.driver.close();
  }
}

function handlersOf(parts: ComputeParts): RpcHandlers<ComputeRpc> {
  /** Failures are told to the notification listeners, under the method's name. */
  const told = <A extends object, R>(method: keyof ComputeRpc, handler: Handler<A, R>): Handler<A, R> =>
    wrapped(parts, method, handler);
  return {
    run_instance: told('run_instance', (context, args, delivery) => runInstance(parts, context, args, delivery)),
    start_instance: told('start_instance', (context, args, delivery) => startInstance(parts, context, args, delivery)),
    terminate_instance: told('terminate_instance', (context, args, delivery) =>
      terminateInstance(parts, context, args, delivery),
    ),
    stop_instance: told('stop_instance', (context, args, delivery) => stopInstance(parts, context, args, delivery)),
    reboot_instance: told('reboot_instance', (context, args, delivery) =>
      rebootInstance(parts, context, args, delivery),
    ),
    attach_volume: (context, args, delivery) => attachVolume(parts, context, args, delivery),
    detach_volume: told('detach_volume', (context, args, delivery) => detachVolume(parts, context, args, delivery)),
    get_console_output: told('get_console_output', (_context, args) => consoleOutput(parts, args)),
    get_diagnostics: told('get_diagnostics', (_context, args) => diagnostics(parts, args)),
    lock_instance: told('lock_instance', (_context, args) => setLock(parts, args.instance_id, true)),
    unlock_instance: told('unlock_instance', (_context, args) => setLock(parts, args.instance_id, false)),
    get_lock: told('get_lock', (_context, args) => getLock(parts, args.instance_id)),
    refresh_security_group_rules: told('refresh_security_group_rules', (_context, args) =>
      refreshSecurityGroup(parts, args),
    ),
    refresh_security_group_members: told('refresh_security_group_members', (_context, args) =>
      refreshSecurityGroup(parts, args),
    ),
    refresh_provider_fw_rules: told('refresh_provider_fw_rules', () => refreshProviderRules(parts)),
    update_available_resource: told('update_available_resource', () => updateAvailableResource(parts)),
  };
}

/** In the order of 2011.3: publish, driver status, power sync; then what 2011.3 has not. */
function periodicTasksOf(parts: ComputeParts): readonly PeriodicTask[] {
  const capabilities = new Capabilities(parts);
  return [
    { name: 'publish_service_capabilities', run: (context) => capabilities.publish(context) },
    { name: 'report_driver_status', run: () => capabilities.refresh() },
    { name: 'sync_power_states', run: () => syncPowerStates(parts) },
    { name: 'recover_unfinished', run: (context) => recoverUnfinished(parts, context) },
  ];
}

import type { Context } from '../../common/context.js';
import type { DaemonParts } from '../../common/daemon.js';
import type { Manager, PeriodicTask } from '../../common/manager.js';
import { computeMethods, type ComputeRpc } from '../../common/rpc/compute.js';
import type { RpcHandlers } from '../../common/rpc/types.js';
import type { VirtDriver } from '../virt/driver.js';
import { attachVolume } from './volumes/attachVolume.js';
import { Capabilities, updateAvailableResource } from './capabilities.js';
import { changeOfState } from './changeState.js';
import { confirmResize } from './migrations/confirmResize.js';
import { consoleAccess, consoleOutput, consoleTopic, diagnostics } from './console.js';
import { detachVolume } from './volumes/detachVolume.js';
import { finishResize } from './migrations/finishResize.js';
import {
  addFixedIp,
  injectFile,
  injectNetworkInfo,
  removeFixedIp,
  resetNetwork,
  setAdminPassword,
  updateAgent,
} from './guest.js';
import { freeAddressesOfFailedBuilds } from './building/heldAddresses.js';
import { compareCpu, hostPowerAction, setHostEnabled } from './host.js';
import { liveMigration } from './migrations/liveMigration.js';
import { cancelArrival, completeArrival, prepareArrival, removeVolume } from './migrations/liveMigrationTarget.js';
import { getLock, setLock } from './locks.js';
import { wrapped, type Handler } from './notifications.js';
import { computeParts, type ComputeParts } from './parts.js';
import { followEvents, syncPowerStates } from './recovery/powerSync.js';
import { powerChanges } from './powerChanges.js';
import { prepResize } from './migrations/prepResize.js';
import { rebootInstance } from './rebootInstance.js';
import { endOldRescues } from './recovery/rescueTimeout.js';
import { rebuildInstance } from './building/rebuildInstance.js';
import { recoverHost, recoverUnfinished } from './recovery/recovery.js';
import { resizeInstance } from './migrations/resizeInstance.js';
import { finishRevertResize, revertResize } from './migrations/revertResize.js';
import { runInstance, startInstance } from './building/runInstance.js';
import { refreshFilters, refreshProviderRules, refreshSecurityGroup } from './securityGroups.js';
import { checkTestFile, createTestFile, removeTestFile } from './migrations/sharedStorage.js';
import { snapshotInstance } from './snapshotInstance.js';
import { stopInstance } from './stopInstance.js';
import { terminateInstance } from './terminateInstance.js';

/** The work of nova-compute: the instances of one host, on one hypervisor (nova 2011.3, nova/compute/manager.py). */
export class ComputeManager implements Manager<ComputeRpc> {
  readonly methods = computeMethods;
  readonly handlers: RpcHandlers<ComputeRpc>;
  readonly periodicTasks: readonly PeriodicTask[];
  readonly #parts: ComputeParts;
  readonly #capabilities: Capabilities;
  #connected = false;

  constructor(parts: DaemonParts, driver: VirtDriver) {
    this.#parts = computeParts(parts, driver);
    this.handlers = handlersOf(this.#parts);
    this.#capabilities = new Capabilities(this.#parts);
    this.periodicTasks = periodicTasksOf(this.#parts, this.#capabilities);
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

  /** Also announces the host: a scheduler which weighs hosts by their figures would know nothing of it for a minute or two. */
  async updateAvailableResource(context: Context): Promise<void> {
    await updateAvailableResource(this.#parts);
    await this.#capabilities.refresh();
    await this.#capabilities.publish(context);
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
    pause_instance: told('pause_instance', (context, args, delivery) =>
      changeOfState(parts, context, powerChanges.pause_instance, args, delivery),
    ),
    unpause_instance: told('unpause_instance', (context, args, delivery) =>
      changeOfState(parts, context, powerChanges.unpause_instance, args, delivery),
    ),
    suspend_instance: told('suspend_instance', (context, args, delivery) =>
      changeOfState(parts, context, powerChanges.suspend_instance, args, delivery),
    ),
    resume_instance: told('resume_instance', (context, args, delivery) =>
      changeOfState(parts, context, powerChanges.resume_instance, args, delivery),
    ),
    rescue_instance: told('rescue_instance', (context, args, delivery) =>
      changeOfState(parts, context, powerChanges.rescue_instance, args, delivery),
    ),
    unrescue_instance: told('unrescue_instance', (context, args, delivery) =>
      changeOfState(parts, context, powerChanges.unrescue_instance, args, delivery),
    ),
    rebuild_instance: told('rebuild_instance', (context, args, delivery) =>
      rebuildInstance(parts, context, args, delivery),
    ),
    snapshot_instance: told('snapshot_instance', (context, args, delivery) =>
      snapshotInstance(parts, context, args, delivery),
    ),
    set_admin_password: told('set_admin_password', (context, args, delivery) =>
      setAdminPassword(parts, context, args, delivery),
    ),
    inject_file: told('inject_file', (context, args, delivery) => injectFile(parts, context, args, delivery)),
    agent_update: told('agent_update', (context, args, delivery) => updateAgent(parts, context, args, delivery)),
    reset_network: (context, args, delivery) => resetNetwork(parts, context, args, delivery),
    inject_network_info: (context, args, delivery) => injectNetworkInfo(parts, context, args, delivery),
    add_fixed_ip_to_instance: told('add_fixed_ip_to_instance', (context, args, delivery) =>
      addFixedIp(parts, context, args, delivery),
    ),
    remove_fixed_ip_from_instance: told('remove_fixed_ip_from_instance', (context, args, delivery) =>
      removeFixedIp(parts, context, args, delivery),
    ),
    prep_resize: told('prep_resize', (context, args, delivery) => prepResize(parts, context, args, delivery)),
    resize_instance: told('resize_instance', (context, args, delivery) =>
      resizeInstance(parts, context, args, delivery),
    ),
    finish_resize: told('finish_resize', (context, args, delivery) => finishResize(parts, context, args, delivery)),
    confirm_resize: told('confirm_resize', (context, args, delivery) => confirmResize(parts, context, args, delivery)),
    revert_resize: told('revert_resize', (context, args, delivery) => revertResize(parts, context, args, delivery)),
    finish_revert_resize: told('finish_revert_resize', (context, args, delivery) =>
      finishRevertResize(parts, context, args, delivery),
    ),
    live_migration: (context, args, delivery) => liveMigration(parts, context, args, delivery),
    pre_live_migration: (context, args) => prepareArrival(parts, context, args),
    post_live_migration_at_destination: (context, args) => completeArrival(parts, context, args),
    rollback_live_migration_at_destination: (_context, args) => cancelArrival(parts, args),
    remove_volume: (_context, args) => removeVolume(parts, args),
    compare_cpu: told('compare_cpu', (_context, args) => compareCpu(parts, args)),
    create_shared_storage_test_file: told('create_shared_storage_test_file', () => createTestFile(parts)),
    check_shared_storage_test_file: told('check_shared_storage_test_file', (_context, args) =>
      checkTestFile(parts, args),
    ),
    cleanup_shared_storage_test_file: told('cleanup_shared_storage_test_file', (_context, args) =>
      removeTestFile(parts, args),
    ),
    attach_volume: (context, args, delivery) => attachVolume(parts, context, args, delivery),
    detach_volume: told('detach_volume', (context, args, delivery) => detachVolume(parts, context, args, delivery)),
    get_console_output: told('get_console_output', (_context, args) => consoleOutput(parts, args)),
    get_diagnostics: told('get_diagnostics', (_context, args) => diagnostics(parts, args)),
    get_ajax_console: told('get_ajax_console', (_context, args) => consoleAccess(parts, 'ajax', args)),
    get_vnc_console: told('get_vnc_console', (_context, args) => consoleAccess(parts, 'vnc', args)),
    get_console_topic: async () => consoleTopic(parts),
    get_console_pool_info: (_context, args) => parts.driver.consolePool(String(args.console_type)),
    host_power_action: told('host_power_action', (_context, args) => hostPowerAction(parts, args)),
    set_host_enabled: told('set_host_enabled', (_context, args) => setHostEnabled(parts, args)),
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

/** In the order of 2011.3: publish, rescue timeout, driver status, power sync; then what 2011.3 has not. */
function periodicTasksOf(parts: ComputeParts, capabilities: Capabilities): readonly PeriodicTask[] {
  return [
    { name: 'publish_service_capabilities', run: (context) => capabilities.publish(context) },
    { name: 'poll_rescued_instances', run: (context) => endOldRescues(parts, context) },
    { name: 'report_driver_status', run: () => capabilities.refresh() },
    { name: 'sync_power_states', run: () => syncPowerStates(parts) },
    { name: 'recover_unfinished', run: (context) => recoverUnfinished(parts, context) },
    { name: 'free_addresses_of_failed_builds', run: (context) => freeAddressesOfFailedBuilds(parts, context) },
    { name: 'refresh_filters', run: () => refreshFilters(parts) },
  ];
}

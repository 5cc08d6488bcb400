import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { StartupError, errorText } from './errors.js';
import type { FlagName, Flags } from './flags/flags.js';

/**
 * The dotted Python names which flags of 2011.3 hold, and our name for what they stand for. A name that is not here has
 * no implementation (yet): the daemon refuses to start and lists these.
 */
export const registry = {
  compute_manager: { 'nova.compute.manager.ComputeManager': 'compute' },
  network_manager: {
    'nova.network.manager.FlatManager': 'flat',
    'nova.network.manager.FlatDHCPManager': 'flatDhcp',
    'nova.network.manager.VlanManager': 'vlan',
  },
  volume_manager: { 'nova.volume.manager.VolumeManager': 'volume' },
  scheduler_manager: { 'nova.scheduler.manager.SchedulerManager': 'scheduler' },
  connection_type: { fake: 'fake' },
  compute_driver: { 'nova.virt.connection.get_connection': 'connection_type' },
  network_driver: { 'nova.network.linux_net': 'linux' },
  volume_driver: { 'nova.volume.driver.FakeISCSIDriver': 'fake' },
  scheduler_driver: {
    'nova.scheduler.chance.ChanceScheduler': 'chance',
    'nova.scheduler.simple.SimpleScheduler': 'simple',
    'nova.scheduler.zone.ZoneScheduler': 'zone',
    'nova.scheduler.abstract_scheduler.AbstractScheduler': 'abstract',
    'nova.scheduler.base_scheduler.BaseScheduler': 'base',
    'nova.scheduler.least_cost.LeastCostScheduler': 'leastCost',
    'nova.scheduler.multi.MultiScheduler': 'multi',
  },
  compute_scheduler_driver: {
    'nova.scheduler.chance.ChanceScheduler': 'chance',
    'nova.scheduler.simple.SimpleScheduler': 'simple',
    'nova.scheduler.zone.ZoneScheduler': 'zone',
    'nova.scheduler.abstract_scheduler.AbstractScheduler': 'abstract',
    'nova.scheduler.base_scheduler.BaseScheduler': 'base',
    'nova.scheduler.least_cost.LeastCostScheduler': 'leastCost',
  },
  volume_scheduler_driver: {
    'nova.scheduler.chance.ChanceScheduler': 'chance',
    'nova.scheduler.simple.SimpleScheduler': 'simple',
  },
  image_service: { 'nova.image.glance.GlanceImageService': 'glance' },
  auth_driver: { 'nova.auth.dbdriver.DbDriver': 'database' },
  rpc_backend: { 'nova.rpc.impl_kombu': 'amqp', 'nova.rpc.impl_carrot': 'amqp' },
  notification_driver: {
    'nova.notifier.no_op_notifier': 'none',
    'nova.notifier.rabbit_notifier': 'bus',
    'nova.notifier.log_notifier': 'log',
    'nova.notifier.list_notifier': 'list',
  },
  list_notifier_drivers: {
    'nova.notifier.no_op_notifier': 'none',
    'nova.notifier.rabbit_notifier': 'bus',
    'nova.notifier.log_notifier': 'log',
  },
} as const satisfies Partial<Record<FlagName, Readonly<Record<string, string>>>>;

export type RegistryFlag = keyof typeof registry;
/** Our names of what a flag may choose. */
export type Choice<F extends RegistryFlag> = Extract<(typeof registry)[F][keyof (typeof registry)[F]], string>;

/** True for `./x.js`, `../x.js` and `/x.js`: a plug-in instead of a dotted name. */
function isPluginPath(value: string): boolean {
  return value.startsWith('./') || value.startsWith('../') || isAbsolute(value);
}

/** Our name for a dotted name. Throws StartupError which names the flag and the values which work. */
export function registered<F extends RegistryFlag>(flag: F, value: string): Choice<F> {
  const names: Readonly<Record<string, string>> = registry[flag];
  const choice = Object.hasOwn(names, value) ? names[value] : undefined;
  if (choice === undefined) throw unknownName(flag, value);
  return choice as Choice<F>;
}

function unknownName(flag: RegistryFlag, value: string): StartupError {
  const names = Object.keys(registry[flag]);
  const known =
    names.length === 1 ? `the value which works is ${names[0]}` : `the values which work are ${names.join(', ')}`;
  return new StartupError(
    `--${flag}=${value}: there is no such implementation; ${known} (or the path of a plug-in, ./name.js)`,
  );
}

/**
 * What a flag chooses: one of `builtins`, by our name, or the default export of the plug-in which the flag's value is
 * the path of (relative to the current directory). Throws StartupError for any other value and for a plug-in which
 * cannot be loaded.
 */
export async function choose<F extends RegistryFlag, T>(
  flags: Flags,
  flag: F,
  builtins: { readonly [C in Choice<F>]: () => T | Promise<T> },
): Promise<T> {
  const value = String(flags[flag]);
  if (!isPluginPath(value)) return builtins[registered(flag, value)]();
  let plugin: { default?: T };
  try {
    plugin = (await import(pathToFileURL(resolve(value)).href)) as { default?: T };
  } catch (error) {
    throw new StartupError(`--${flag}=${value}: the plug-in cannot be loaded: ${errorText(error)}`);
  }
  if (plugin.default === undefined) throw new StartupError(`--${flag}=${value}: the plug-in has no default export`);
  return plugin.default;
}

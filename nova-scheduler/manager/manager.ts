import type { Context } from '../../common/context.js';
import type { DaemonParts } from '../../common/daemon.js';
import { waitingForRun, waitingForStart } from '../../common/db/scheduling.js';
import { NovaError, PythonError } from '../../common/errors.js';
import type { Manager } from '../../common/manager.js';
import { schedulerMethods, type SchedulerRpc } from '../../common/rpc/scheduler.js';
import type { Runtime } from '../../common/runtime/runtime.js';
import type { SchedulerDriver } from '../drivers/driver.js';
import { Capabilities } from './capabilities.js';
import { showHostResources } from './hostResources.js';
import { scheduleInstance } from './instances.js';
import { scheduleLiveMigration } from './liveMigration.js';
import { scheduleResize } from './resizes.js';
import { sweep } from './sweeper.js';
import { scheduleSnapshot, scheduleVolume } from './volumes.js';
import { passOn, schedulerWork, type Errand, type SchedulerWork } from './work.js';

/** What a scheduler will know of the hosts; the driver chooses by it, and the manager keeps it. */
export function capabilitiesOf({ clock, flags }: Runtime): Capabilities {
  return new Capabilities(clock, 3 * flags.periodic_interval);
}

/** The work of nova-scheduler: finds hosts, with a driver, and passes messages on to them. */
export function schedulerManager(
  parts: Pick<DaemonParts, 'runtime' | 'db' | 'rpc'>,
  driver: SchedulerDriver,
  capabilities: Capabilities = capabilitiesOf(parts.runtime),
): Manager<SchedulerRpc> {
  const work = schedulerWork(parts, driver);
  return {
    methods: schedulerMethods,
    handlers: {
      async update_service_capabilities(_context, { service_name: service, host, capabilities: said }) {
        capabilities.update(String(service), String(host), said);
        return null;
      },
      get_host_list: async () => capabilities.hosts(),
      // Child zones are not supported: there are none.
      get_zone_list: async () => [],
      get_zone_capabilities: async () => capabilities.summary(),
      async select(_context, { request_spec: spec }) {
        if (driver.select !== undefined) return driver.select(spec);
        throw new PythonError('AttributeError', `'${driver.constructor.name}' object has no attribute 'select'`);
      },
      show_host_resources: (_context, { host }) => showHostResources(work, String(host)),
      async run_instance(context, args) {
        await scheduleInstance(work, errand(context, 'run_instance', { ...args }), waitingForRun);
        return null;
      },
      async start_instance(context, args) {
        await scheduleInstance(work, errand(context, 'start_instance', { ...args }), waitingForStart);
        return null;
      },
      async prep_resize(context, args) {
        await scheduleResize(work, errand(context, 'prep_resize', { ...args }));
        return null;
      },
      async live_migration(context, args) {
        await scheduleLiveMigration(work, context, args);
        return null;
      },
      async create_volume(context, args) {
        await scheduleVolume(work, errand(context, 'create_volume', { ...args }));
        return null;
      },
      async create_snapshot(context, args) {
        await scheduleSnapshot(work, errand(context, 'create_snapshot', { ...args }));
        return null;
      },
      async delete_snapshot(context, args) {
        await scheduleSnapshot(work, errand(context, 'delete_snapshot', { ...args }));
        return null;
      },
    },
    fallback: (context, method, args) => passAnything(work, context, method, args),
    initHost: async () => {},
    periodicTasks: [{ name: 'sweep', run: () => sweep(work) }],
  };
}

/** Passes a message of any other method on to some host of its topic (nova 2011.3, nova/scheduler/manager.py _schedule). */
async function passAnything(
  work: SchedulerWork,
  context: Context,
  method: string,
  args: Record<string, unknown>,
): Promise<null> {
  if (!('topic' in args)) throw new PythonError('TypeError', '_schedule() takes at least 4 arguments (3 given)');
  const { topic } = args;
  work.log.warn(`There is no rule for ${method}; it goes to any host of ${String(topic)}`);
  const passed = errand(context, method, args);
  await passOn(work, passed, (tried) => work.driver.place(context, passed.topic, tried, method));
  return null;
}

/** What is passed on of a message: all its arguments but the topic. */
function errand(context: Context, method: string, args: Record<string, unknown>): Errand {
  const { topic, ...rest } = args;
  if (typeof topic !== 'string' || topic === '') throw new NovaError('The topic of a message must be a text');
  return { context, topic, method, args: rest };
}

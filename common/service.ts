import { adminContext } from './context.js';
import type { DaemonParts, RunningDaemon } from './daemon.js';
import type { Db } from './db/db.js';
import { heartbeat, registerService, type NewService } from './db/services.js';
import { DBError, MessageNotDelivered, RpcTimeout, errorText } from './errors.js';
import type { Logger } from './log.js';
import type { Manager } from './manager.js';
import { novaVersion } from './projectRoot.js';
import { serveManager } from './rpc/dispatcher.js';
import type { RpcInterface } from './rpc/types.js';
import { PausedTransport } from './service/pausedTransport.js';
import { underWay } from './underWay.js';
import { every, within, type Loop } from './service/timers.js';

/** What {@link runService} runs. */
export interface Service<I extends RpcInterface<I>> {
  /** Program and services.binary, e.g. `nova-compute`. */
  binary: string;
  /** Queue name and services.topic, e.g. `compute`. */
  topic: string;
  manager: Manager<I>;
}

/**
 * Runs a manager as a daemon on parts which are connected and whose schema is checked (nova 2011.3, nova/service.py):
 * queues first, paused; then the manager's recovery, the services row with a heartbeat, the resources of a compute host;
 * then messages and timers. Resolves when all this is done. Whoever made the parts closes them after
 * {@link RunningDaemon.stop}. Throws HostAlreadyServed, and what the manager's recovery throws.
 */
export async function runService<I extends RpcInterface<I>>(
  parts: DaemonParts,
  service: Service<I>,
): Promise<RunningDaemon> {
  const { runtime } = parts;
  const { flags } = runtime;
  const { manager, topic, binary } = service;
  const logger = runtime.log.logger('nova.service');
  logger.audit(`Starting ${topic} node (version ${novaVersion})`);

  const transport = new PausedTransport(parts.transport);
  const consumer = await serveManager({ ...parts, transport }, topic, manager);
  let serviceId: number;
  const row: NewService = {
    host: runtime.host,
    binary,
    topic,
    availabilityZone: flags.node_availability_zone,
    disabled: !flags.enable_new_services,
  };
  try {
    await patiently(parts, logger, () => manager.initHost(adminContext(runtime)));
    serviceId = await patiently(parts, logger, () => reportIn(parts.db, row));
  } catch (error) {
    await consumer.stop(0);
    throw error;
  }
  await updateAvailableResource(parts, manager, logger);
  transport.open();

  const heart = startHeart(parts, row, serviceId, logger);
  const periodic = every(
    runtime,
    flags.periodic_interval,
    () => runPeriodicTasks(parts, manager, logger),
    () => undefined,
    // hosts which were started together don't ask the database together ever after
    runtime.random.below(flags.periodic_interval * 1000),
  );
  return {
    binary,
    async stop() {
      const graceMs = flags.drain_timeout * 1000;
      const work = Promise.all([consumer.stop(graceMs), heart.stop(), periodic.stop()]);
      if (!(await within(runtime, graceMs + 1000, work))) {
        logger.warn(`Work was still running after ${flags.drain_timeout} seconds; it is taken up at the next start`);
      }
      await manager.close?.();
    },
    reopenLogs: () => runtime.log.reopen(),
  };
}

/** Tries again, with a growing pause and a line for each attempt, while the database or the broker cannot be reached. */
async function patiently<T>(parts: DaemonParts, logger: Logger, work: () => Promise<T>): Promise<T> {
  const { runtime } = parts;
  for (let seconds = 1; ; seconds = Math.min(seconds * 2, runtime.flags.sql_retry_interval)) {
    try {
      return await work();
    } catch (error) {
      if (!isOutage(error)) throw error;
      logger.error(`Cannot start yet, trying again in ${seconds} seconds: ${errorText(error)}`);
      await runtime.sleep(seconds * 1000);
    }
  }
}

/** True when the database or whoever should answer on the bus is away, which passes. */
function isOutage(error: unknown): boolean {
  if (error instanceof DBError) return error.reason === 'lost' || error.reason === 'conflict';
  return error instanceof MessageNotDelivered || error instanceof RpcTimeout;
}

/** The compute_nodes row. A failure is logged: the host serves, and nova-manage service update_resource repeats it. */
async function updateAvailableResource<I extends RpcInterface<I>>(
  parts: DaemonParts,
  manager: Manager<I>,
  logger: Logger,
): Promise<void> {
  try {
    await manager.updateAvailableResource?.(adminContext(parts.runtime));
  } catch (error) {
    logger.error(`Error during update_available_resource: ${errorText(error)}`, error);
  }
}

/**
 * The services row, found or made, with a heartbeat at once: a host which was restarted is valid for the scheduler from
 * its first moment. Answers its id.
 */
async function reportIn(db: Db, row: NewService): Promise<number> {
  const { id } = await registerService(db, row);
  await heartbeat(db, id);
  return id;
}

/** Writes a heartbeat each report_interval; says once that the database went away, and once that it is back. */
function startHeart(parts: DaemonParts, row: NewService, firstId: number, logger: Logger): Loop {
  let serviceId = firstId;
  let away = false;
  return every(
    parts.runtime,
    parts.runtime.flags.report_interval,
    async () => {
      if (!(await heartbeat(parts.db, serviceId))) serviceId = await reportIn(parts.db, row);
      if (away) logger.error('Recovered model server connection!');
      away = false;
    },
    (error) => {
      if (!away) logger.error('model server went away', error);
      away = true;
    },
  );
}

async function runPeriodicTasks<I extends RpcInterface<I>>(
  parts: DaemonParts,
  manager: Manager<I>,
  logger: Logger,
): Promise<void> {
  for (const task of manager.periodicTasks) {
    try {
      await underWay(parts.runtime.clock, `task ${task.name}`, () => task.run(adminContext(parts.runtime)));
    } catch (error) {
      logger.error(`Error during ${task.name}: ${errorText(error)}`, error);
    }
  }
}

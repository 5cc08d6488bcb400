import type { Context } from '../../common/context.js';
import type { DaemonParts } from '../../common/daemon.js';
import type { Db } from '../../common/db/db.js';
import { MessageNotDelivered, NoValidHost, errorText } from '../../common/errors.js';
import type { Logger } from '../../common/log.js';
import type { Rpc } from '../../common/rpc/rpc.js';
import type { Runtime } from '../../common/runtime/runtime.js';
import type { SchedulerDriver } from '../drivers/driver.js';

/** What scheduling works with. */
export interface SchedulerWork {
  readonly runtime: Runtime;
  readonly db: Db;
  readonly rpc: Rpc;
  readonly driver: SchedulerDriver;
  readonly log: Logger;
}

/** Puts it together. */
export function schedulerWork(
  parts: Pick<DaemonParts, 'runtime' | 'db' | 'rpc'>,
  driver: SchedulerDriver,
): SchedulerWork {
  const { runtime, db, rpc } = parts;
  return { runtime, db, rpc, driver, log: runtime.log.logger('nova.scheduler.manager') };
}

/** Any method with any arguments; what is passed on is not looked into. */
type AnyRpc = Record<string, (args: Record<string, unknown>) => Promise<unknown>>;

/** A message which is to be passed on. */
export interface Errand {
  /** The caller's own context, which goes along. */
  readonly context: Context;
  readonly topic: string;
  readonly method: string;
  /** The arguments without `topic`, unchanged. */
  readonly args: Record<string, unknown>;
}

/**
 * Passes a message on to the hosts which `choose` names, one after the other, until one has it; `choose` gets those which
 * could not be told. Answers the host; null when `choose` does, which ends it. Throws what `choose` throws.
 */
export async function passOn(
  work: SchedulerWork,
  errand: Errand,
  choose: (tried: ReadonlySet<string>) => Promise<string | null>,
): Promise<string | null> {
  const { context, topic, method, args } = errand;
  const tried = new Set<string>();
  for (;;) {
    let host: string | null;
    try {
      host = await choose(tried);
    } catch (error) {
      if (tried.size > 0 && error instanceof NoValidHost) {
        throw new NoValidHost(`${error.message} These could not be told: ${[...tried].join(', ')}`);
      }
      throw error;
    }
    if (host === null) return null;
    if (tried.has(host)) throw new NoValidHost(`${host} cannot be reached.`);
    try {
      await work.rpc.target<AnyRpc>(`${topic}.${host}`).cast[method]!(context, args);
      work.log.debug(`Casted to ${topic} ${host} for ${method}`);
      return host;
    } catch (error) {
      if (!(error instanceof MessageNotDelivered)) throw error;
      work.log.warn(`${topic}.${host} could not be told of ${method}: ${errorText(error)}`);
      tried.add(host);
    }
  }
}

/** Errors which say that no host will do; by their names, for a plug-in has no part in our classes. */
const refusals: readonly string[] = [
  'NoValidHost',
  'WillNotSchedule',
  'HostBinaryNotFound',
  'SchedulerHostFilterNotFound',
];

/** Whether an error says that no host will do, now or as asked for. */
export function isRefusal(error: unknown): error is Error {
  return error instanceof Error && refusals.includes(error.name);
}

import { failWaitingResize, overdueResizes } from '../../common/db/migrations.js';
import {
  failOverdueInstances,
  failOverdueSnapshots,
  failOverdueVolumes,
  failTasksOfLostHosts,
} from '../../common/db/scheduling.js';
import { listServices, serviceIsUp } from '../../common/db/services.js';
import { dbTime } from '../../common/time.js';
import type { SchedulerWork } from './work.js';

/**
 * Ends what nobody will end any more: a message was lost, or a daemon died before it claimed its work. Instances which
 * wait for a host longer than the flag scheduling_timeout go to `error` with a reason, those which wait to be resized are
 * active again as they were; volumes and snapshots which no living host makes or deletes go to `error` and
 * `error_deleting`; what instances on lost hosts wait for ends. Any number of schedulers may do this at a time.
 */
export async function sweep(work: SchedulerWork): Promise<void> {
  const { db, runtime, log } = work;
  const { flags, clock } = runtime;
  const seconds = flags.scheduling_timeout;
  const now = clock.now();
  const cutoff = dbTime(now - seconds * 1000);
  const reason = `No host took the instance within ${seconds} seconds`;
  for (const id of await failOverdueInstances(db, cutoff, reason)) log.warn(`Instance ${id} goes to error: ${reason}`);

  for (const id of await overdueResizes(db, cutoff)) {
    if (await failWaitingResize(db, id, reason, () => true)) log.warn(`Instance ${id} is not resized: ${reason}`);
  }

  const services = await listServices(db);
  const heardOf = (topic: string, within: number): Set<string> => {
    const alive = services.filter((service) => service.topic === topic && serviceIsUp(service, now, within));
    return new Set(alive.flatMap((service) => (service.host === null ? [] : [service.host])));
  };
  const volumeHosts = heardOf(flags.volume_topic, flags.service_down_time);
  for (const id of await failOverdueVolumes(db, cutoff, volumeHosts)) {
    log.warn(`Volume ${id} goes to error: no host has worked on it within ${seconds} seconds`);
  }
  for (const id of await failOverdueSnapshots(db, cutoff, volumeHosts)) {
    log.warn(`Snapshot ${id} goes to error: no host has worked on it within ${seconds} seconds`);
  }

  // A host which is away for a while does by itself what it was asked for when it is back.
  const lostAfter = Math.max(seconds, flags.service_down_time);
  const computeHosts = heardOf(flags.compute_topic, lostAfter);
  const lost = (host: string): string => `Nothing was heard of the compute service on ${host} for ${lostAfter} seconds`;
  for (const id of await failTasksOfLostHosts(db, cutoff, computeHosts, lost)) {
    log.warn(`Instance ${id} is given up by its task: its host is lost`);
  }
}

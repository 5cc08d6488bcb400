import type { RunningDaemon } from '../common/daemon.js';
import type { Queryable } from '../common/db/db.js';
import { listen, streamingLimits, type HttpAddress, type HttpLimits } from '../common/http/listen.js';
import { novaVersion } from '../common/projectRoot.js';
import type { Runtime } from '../common/runtime/runtime.js';
import { chooseAccess } from './access.js';
import type { Patience } from './asked.js';
import { BucketStore } from './bucketStore.js';
import { ObjectDoor, usualPatience } from './objectDoor.js';
import { UploadStore } from './uploadStore.js';

/** nova-objectstore as it runs. */
export interface RunningObjectstore extends RunningDaemon {
  /** Where it listens, with the real port where the flag s3_port is 0. */
  readonly address: HttpAddress;
}

/**
 * Starts the objectstore (nova 2011.3, bin/nova-objectstore) on the flags s3_host and s3_port. The database is where
 * access keys are looked up; null will do with --s3_auth=noauth. Throws StartupError.
 */
export async function startObjectstore(parts: {
  readonly runtime: Runtime;
  readonly db: Queryable | null;
  /** Those of doors which stream when absent. */
  readonly limits?: HttpLimits;
  readonly patience?: Omit<Patience, 'after'>;
}): Promise<RunningObjectstore> {
  const { runtime, limits = streamingLimits, patience = usualPatience } = parts;
  const { flags } = runtime;
  runtime.log.logger('nova.objectstore').audit(`Starting nova-objectstore node (version ${novaVersion})`);
  const access = chooseAccess(runtime, parts.db);
  const store = await BucketStore.open(runtime, flags.buckets_path);
  const uploads = await UploadStore.open(runtime, store);
  const listener = await listen(runtime, new ObjectDoor({ runtime, store, uploads, access, patience }), {
    name: 'objectstore',
    host: flags.s3_host,
    port: flags.s3_port,
    flags: { host: 's3_host', port: 's3_port' },
    limits,
  });
  return {
    binary: 'nova-objectstore',
    address: listener.address,
    stop: () => listener.stop(flags.drain_timeout * 1000),
    reopenLogs: () => runtime.log.reopen(),
  };
}

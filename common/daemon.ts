import type { Db } from './db/db.js';
import type { ImageService } from './images/imageService.js';
import type { Rpc } from './rpc/rpc.js';
import type { Transport } from './rpc/transport.js';
import type { Runtime } from './runtime/runtime.js';

/** What a daemon is put together from; nova-all and tests hand in shared or simulated parts. */
export interface DaemonParts {
  readonly runtime: Runtime;
  readonly db: Db;
  readonly transport: Transport;
  readonly rpc: Rpc;
  readonly images: ImageService;
}

/** A daemon which runs. */
export interface RunningDaemon {
  readonly binary: string;
  /** One of several processes of a daemon, which speaks for all of them itself. */
  readonly worker?: number;
  /** Takes no more work, lets running work finish for at most the flag drain_timeout, lets go of bus and database. */
  stop(): Promise<void>;
  /** Reopens logs. */
  reopenLogs(): void;
}

/** Starts one daemon from its parts; resolves when it serves. Each daemon folder's start.ts exports one. */
export type StartDaemon<Result extends RunningDaemon = RunningDaemon> = (parts: DaemonParts) => Promise<Result>;

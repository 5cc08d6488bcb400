import { request as httpRequest } from 'node:http';
import { s3SignatureV2 } from '../../common/auth/signing.js';
import { openDatabase } from '../../common/db/database.js';
import type { Db } from '../../common/db/db.js';
import { addMember, createProject } from '../../common/db/projects.js';
import { syncDatabase } from '../../common/db/sync.js';
import { createUser } from '../../common/db/users.js';
import type { FlagName } from '../../common/flags/flags.js';
import type { RealRuntime } from '../../common/runtime/real.js';
import { startObjectstore } from '../../nova-objectstore/start.js';
import { testRuntime, type MemoryLog } from './runtime.js';

export interface S3Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
  readonly text: string;
  /** The error's code; `none` without one. */
  readonly code: string;
}

export interface S3Send {
  headers?: Record<string, string>;
  body?: Buffer | string;
  /** Signs with version 2; null sends no credentials. */
  as?: { access: string; secret: string } | null;
}

export interface TestObjectstore {
  readonly runtime: RealRuntime;
  readonly db: Db;
  readonly log: MemoryLog;
  readonly port: number;
  /** Where the buckets are. */
  readonly folder: string;
  send(method: string, target: string, options?: S3Send): Promise<S3Answer>;
  stop(): Promise<void>;
}

export const s3Admin = { access: 'akey:proj', secret: 'skey' };
export const s3Demo = { access: 'dkey:demo', secret: 'dsecret' };
export const s3Joe = { access: 'jkey:demo', secret: 'jsecret' };
export const s3Eve = { access: 'ekey:eve', secret: 'esecret' };

/** A nova-objectstore on a free port. Users: admin (administrator), demo and joe (project demo), eve (project eve). */
export async function startTestObjectstore(
  flags: Partial<Record<FlagName, unknown>> = {},
  bounds: Pick<Parameters<typeof startObjectstore>[0], 'limits' | 'patience'> = {},
): Promise<TestObjectstore> {
  const { runtime, log } = testRuntime(
    { sql_connection: 'sqlite://', s3_host: '127.0.0.1', s3_port: 0, drain_timeout: 1, ...flags },
    { binary: 'nova-objectstore' },
  );
  const db = openDatabase(runtime);
  await syncDatabase(db);
  await createUser(db, { id: 'admin', accessKey: 'akey', secretKey: 'skey', isAdmin: true });
  for (const [id, key] of [
    ['demo', 'd'],
    ['joe', 'j'],
    ['eve', 'e'],
  ] as const) {
    await createUser(db, { id, accessKey: `${key}key`, secretKey: `${key}secret`, isAdmin: false });
  }
  await createProject(db, 'proj', 'admin');
  await createProject(db, 'demo', 'demo');
  await createProject(db, 'eve', 'eve');
  await addMember(db, 'demo', 'joe');
  const daemon = await startObjectstore({ runtime, db, ...bounds });
  const { port } = daemon.address;
  return {
    runtime,
    db,
    log,
    port,
    folder: runtime.flags.buckets_path,
    send: (method, target, options) => sendS3(port, method, target, options),
    async stop() {
      await daemon.stop();
      await db.close();
      await runtime.files.remove(runtime.flags.state_path);
    },
  };
}

/** Sends one request, as it is: nothing in the target is normalized. */
export function sendS3(port: number, method: string, target: string, options: S3Send = {}): Promise<S3Answer> {
  const { as = s3Admin, body } = options;
  const headers: Record<string, string> = { date: 'Tue, 20 Sep 2011 12:00:00 GMT', ...options.headers };
  if (body !== undefined && !('transfer-encoding' in headers)) {
    headers['content-length'] ??= String(Buffer.byteLength(body));
  }
  if (as !== null) {
    const [path, query = ''] = target.split('?') as [string, string?];
    const pairs = query
      .split('&')
      .filter(Boolean)
      .map((part): [string, string | null] => {
        const [name, value] = part.split('=') as [string, string?];
        return [name, value === undefined ? null : decodeURIComponent(value)];
      });
    const signature = s3SignatureV2(as.secret, { method, path, query: pairs, headers });
    headers['authorization'] = `AWS ${as.access}:${signature}`;
  }
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, method, path: target, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const all = Buffer.concat(chunks);
        const text = all.toString('utf8');
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers as Record<string, string | undefined>,
          body: all,
          text,
          code: /<Code>(.*?)<\/Code>/.exec(text)?.[1] ?? 'none',
        });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

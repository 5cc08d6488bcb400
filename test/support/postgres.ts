import { execFileSync } from 'node:child_process';
import { chownSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { accountOf, freePort, ServerProcess } from './serverProcess.js';
import { temporaryFolder } from './temporary.js';

const password = 'p@ss word';
const passwordInUrl = 'p%40ss+word';

/** A private PostgreSQL on a free port, in a temporary folder. */
export class Postgres {
  #databases = 0;

  private constructor(
    readonly port: number,
    readonly folder: string,
    private readonly process: ServerProcess,
  ) {}

  static async start(): Promise<Postgres> {
    const folder = temporaryFolder('postgres');
    const account = accountOf('postgres');
    if (account) chownSync(folder, account.uid, account.gid);
    const data = join(folder, 'data');
    const passwordFile = join(folder, 'password');
    writeFileSync(passwordFile, password);
    if (account) chownSync(passwordFile, account.uid, account.gid);
    const initdb = ['-D', data, '-U', 'nova', '-E', 'UTF8', '--locale=C', '-A', 'scram-sha-256', '--no-sync'];
    execFileSync(join(postgresBin(), 'initdb'), [...initdb, `--pwfile=${passwordFile}`], { ...account, cwd: '/' });
    const port = await freePort();
    const settings = {
      port,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: folder,
      fsync: 'off',
      // a dozen daemons may take ten each, and the tests look on with sessions of their own
      max_connections: 200,
    };
    const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const server = new ServerProcess(join(postgresBin(), 'postgres'), ['-D', data, ...args], {
      account,
      stopSignal: 'SIGINT',
    });
    const postgres = new Postgres(port, folder, server);
    await postgres.restart();
    return postgres;
  }

  /** Of the first process; each session has one of its own below it. */
  get pid(): number | undefined {
    return this.process.pid;
  }

  /** The URL of a new, empty database. */
  async freshDatabase(): Promise<string> {
    this.#databases += 1;
    const name = `nova_${this.#databases}`;
    await this.query('postgres', `CREATE DATABASE ${name}`);
    return this.url(name);
  }

  url(database: string): string {
    return `postgresql://nova:${passwordInUrl}@127.0.0.1:${this.port}/${database}`;
  }

  /** What `pg` needs for a session past the product's code, on a database's name or URL. */
  settings(database: string): pg.ClientConfig {
    const name = database.slice(database.lastIndexOf('/') + 1);
    return { host: '127.0.0.1', port: this.port, user: 'nova', password, database: name };
  }

  /** A session past the product's code, on a database's name or URL. */
  async connect(database: string): Promise<pg.Client> {
    const client = new pg.Client(this.settings(database));
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  /** One statement, past the product's code. */
  async query(database: string, sql: string): Promise<Record<string, unknown>[]> {
    const client = await this.connect(database);
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  /** `pg_dump --schema-only --no-owner` of the database which a URL names. */
  dumpSchema(url: string): string {
    const database = url.slice(url.lastIndexOf('/') + 1);
    const place = ['-h', '127.0.0.1', '-p', String(this.port), '-U', 'nova', database];
    return execFileSync(join(postgresBin(), 'pg_dump'), ['--schema-only', '--no-owner', ...place], {
      encoding: 'utf8',
      env: { ...process.env, PGPASSWORD: password },
    });
  }

  /** Stops it when it runs, and starts it again on the same data. */
  async restart(): Promise<void> {
    await this.process.end();
    await this.process.start(() => this.query('postgres', 'SELECT 1'));
  }

  /** SIGKILL; `restart` brings it back. */
  async kill9(): Promise<void> {
    await this.process.end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.process.end();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The newest installed version's programs (Debian keeps them out of the PATH). */
function postgresBin(): string {
  const root = '/usr/lib/postgresql';
  const newest = readdirSync(root).sort((a, b) => Number(b) - Number(a))[0];
  if (newest === undefined) throw new Error(`no PostgreSQL under ${root}`);
  return join(root, newest, 'bin');
}

let shared: Promise<Postgres> | undefined;

/** The PostgreSQL of this run of mocha; started at the first use, stopped at the end. */
export function postgres(): Promise<Postgres> {
  shared ??= Postgres.start();
  return shared;
}

// outside of mocha nobody shares one
if (typeof after === 'function') {
  after(async function stopPostgres() {
    this.timeout(60_000);
    await (await shared?.catch(() => undefined))?.stop();
  });
}

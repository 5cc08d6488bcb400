import { execFileSync } from 'node:child_process';
import { chownSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import mysql from 'mysql2/promise';
import { accountOf, freePort, ServerProcess } from './serverProcess.js';
import { temporaryFolder } from './temporary.js';

const password = 'p@ss word';
const passwordInUrl = 'p%40ss+word';

/** A private MariaDB on a free port, in a temporary folder. */
export class Mariadb {
  #databases = 0;

  private constructor(
    readonly port: number,
    readonly folder: string,
    private readonly process: ServerProcess,
  ) {}

  static async start(): Promise<Mariadb> {
    const folder = temporaryFolder('mariadb');
    const account = accountOf('mysql');
    if (account) chownSync(folder, account.uid, account.gid);
    const data = join(folder, 'data');
    const install = [
      '--no-defaults',
      `--datadir=${data}`,
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
    ];
    execFileSync('mariadb-install-db', install, { ...account, cwd: '/', stdio: 'pipe' });
    const port = await freePort();
    const settings = {
      datadir: data,
      socket: join(folder, 'socket'),
      'pid-file': join(folder, 'pid'),
      port,
      'bind-address': '127.0.0.1',
      'innodb-flush-log-at-trx-commit': 2,
      'general-log': 1,
      'general-log-file': join(folder, 'statements'),
    };
    const args = ['--no-defaults', ...Object.entries(settings).map(([name, value]) => `--${name}=${value}`)];
    const mariadb = new Mariadb(port, folder, new ServerProcess('/usr/sbin/mariadbd', args, { account }));
    await mariadb.process.start(() => mariadb.#query({ user: 'root', socketPath: join(folder, 'socket') }, 'SELECT 1'));
    const root = { user: 'root', socketPath: join(folder, 'socket') };
    await mariadb.#query(root, `CREATE USER nova@'127.0.0.1' IDENTIFIED BY '${password}'`);
    await mariadb.#query(root, "GRANT ALL ON *.* TO nova@'127.0.0.1'");
    return mariadb;
  }

  /** The URL of a new, empty database. */
  async freshDatabase(): Promise<string> {
    this.#databases += 1;
    const name = `nova_${this.#databases}`;
    await this.query('information_schema', `CREATE DATABASE ${name} CHARACTER SET utf8mb4`);
    return this.url(name);
  }

  url(database: string): string {
    return `mysql://nova:${passwordInUrl}@127.0.0.1:${this.port}/${database}?charset=utf8`;
  }

  /** What `mysql2` needs for a session past the product's code, on a database's name or URL. */
  #settings(database: string): mysql.ConnectionOptions {
    const name = /([^/?]*)(?:\?.*)?$/.exec(database)![1]!;
    return { host: '127.0.0.1', port: this.port, user: 'nova', password, database: name };
  }

  /** A session past the product's code, on a database's name or URL. */
  connect(database: string): Promise<mysql.Connection> {
    return mysql.createConnection(this.#settings(database));
  }

  /** One statement, past the product's code. */
  query(database: string, sql: string): Promise<Record<string, unknown>[]> {
    return this.#query(this.#settings(database), sql);
  }

  async #query(options: mysql.ConnectionOptions, sql: string): Promise<Record<string, unknown>[]> {
    const connection = await mysql.createConnection(options);
    try {
      const [rows] = await connection.query(sql);
      return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : [];
    } finally {
      await connection.end();
    }
  }

  /** Those of the statements it was sent which a MySQL would refuse (error 1093), as MariaDB did until 10.3. */
  statementsForMariadbAlone(): string[] {
    const lines = readFileSync(join(this.folder, 'statements'), 'utf8').matchAll(/ (?:Query|Execute)\t(.*)$/gm);
    return [...new Set([...lines].map(([, statement]) => statement!))].filter(looksAtWhatItChanges);
  }

  /** Stops it when it runs, and starts it again on the same data. */
  async restart(): Promise<void> {
    await this.process.end();
    await this.process.start(() => this.query('information_schema', 'SELECT 1'));
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

/** Whether an UPDATE or DELETE has a subquery of its own table, other than within a derived table. */
function looksAtWhatItChanges(statement: string): boolean {
  const table = /^\s*(?:UPDATE|DELETE FROM)\s+[`"]?(\w+)/i.exec(statement)?.[1];
  if (table === undefined) return false;
  const subqueries = withoutDerivedTables(statement.slice(statement.search(/\b(?:SET|WHERE)\b/i)));
  return new RegExp(`\\b(?:FROM|JOIN)\\s+[\`"]?${table}\\b`, 'i').test(subqueries);
}

function withoutDerivedTables(sql: string): string {
  const start = /\b(?:FROM|JOIN)\s+\(/i.exec(sql);
  if (start === null) return sql;
  let end = start.index + start[0].length;
  for (let depth = 1; depth > 0 && end < sql.length; end += 1) depth += { '(': 1, ')': -1 }[sql[end]!] ?? 0;
  return `${sql.slice(0, start.index)} ${withoutDerivedTables(sql.slice(end))}`;
}

let shared: Promise<Mariadb> | undefined;

/** The MariaDB of this run of mocha; started at the first use, stopped at the end. */
export function mariadb(): Promise<Mariadb> {
  shared ??= Mariadb.start();
  return shared;
}

after('no statement of any test is for MariaDB alone', async function () {
  this.timeout(60_000);
  const server = await shared?.catch(() => undefined);
  if (server === undefined) return;
  const refused = server.statementsForMariadbAlone();
  await server.stop();
  if (refused.length > 0) throw new Error(`MySQL would refuse ${refused.slice(0, 5).join('\n')}`);
});

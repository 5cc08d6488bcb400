import type { Options, Sequelize } from 'sequelize';
import type { Connection, DialectOptions } from './dialect.js';

/** Seconds for which a statement waits for a lock: InnoDB's own default. */
export const lockTimeoutSeconds = 50;

/**
 * What dialects of servers have in common: Sequelize's pool of driver connections. It is made at the first use: loading
 * Sequelize takes a while.
 */
export abstract class ServerDialect {
  readonly forUpdate = ' FOR UPDATE';
  abstract readonly forShare: string;
  readonly writersTakeTurns = false;
  readonly singleConnection = false;
  #sequelize: Promise<Sequelize> | undefined;

  constructor(
    private readonly options: DialectOptions,
    private readonly sequelizeOptions: Options,
  ) {}

  /** The driver's module, where Sequelize's own choice will not do. */
  protected driver(): Promise<object | undefined> {
    return Promise.resolve(undefined);
  }

  /** Runs once on every new connection. */
  protected abstract prepare(connection: Connection): Promise<void>;

  async acquire(_write: boolean): Promise<Connection> {
    this.#sequelize ??= this.#create();
    const sequelize = await this.#sequelize;
    return sequelize.connectionManager.getConnection({ type: 'write' });
  }

  async release(connection: Connection, broken: boolean): Promise<void> {
    const manager = (await this.#sequelize)?.connectionManager;
    if (broken) void manager?.destroyConnection(connection).catch(() => undefined);
    else manager?.releaseConnection(connection);
  }

  async close(): Promise<void> {
    const sequelize = this.#sequelize;
    this.#sequelize = undefined;
    await (await sequelize)?.close();
  }

  async #create(): Promise<Sequelize> {
    const [{ Sequelize }, driver] = await Promise.all([import('sequelize'), this.driver()]);
    const { url, runtime } = this.options;
    const { flags } = runtime;
    // Not in Sequelize's types. It would open a connection just to ask for the version, and set the time zone on each
    // new one, which `prepare` does where it is needed.
    const quiet = { databaseVersion: '9.5.0', keepDefaultTimezone: true };
    return new Sequelize(url.database, url.user ?? '', url.password ?? '', {
      ...quiet,
      host: url.host,
      ...(url.port === undefined ? {} : { port: url.port }),
      logging: false,
      ...(driver === undefined ? {} : { dialectModule: driver }),
      pool: {
        max: flags.sql_max_pool_size,
        min: Math.min(flags.sql_min_pool_size, flags.sql_max_pool_size),
        idle: flags.sql_idle_timeout * 1000,
        acquire: flags.sql_pool_timeout * 1000,
      },
      hooks: { afterConnect: (connection: unknown) => this.prepare(connection as Connection) },
      ...this.sequelizeOptions,
    });
  }
}

/** True when the pool had no connection to give in time. */
export function isPoolTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'SequelizeConnectionAcquireTimeoutError';
}

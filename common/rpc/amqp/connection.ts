import { AmqpConnectionManagerClass } from 'amqp-connection-manager';
import type { ChannelModel } from 'amqplib';
import { Writable } from 'node:stream';
import { MessageNotDelivered, StartupError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { Runtime } from '../../runtime/runtime.js';

/** Somebody who has channels on the connection. */
export interface ConnectionUser {
  /** There is a connection, the first or a new one. */
  attach(connection: ChannelModel): void;
  /** The connection is gone; whatever was under way on it is lost. */
  detach(reason: string): void;
}

/** Longest wait between two attempts (nova 2011.3, nova/rpc/impl_kombu.py interval_max). */
const longestWaitSeconds = 30;
const connectTimeoutMs = 10_000;

/** The text of a connection error; that of several addresses (localhost) has none of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '')
    return [...new Set(error.errors.map(reasonOf))].join(', ');
  if (!(error instanceof Error)) return error === undefined ? 'the broker closed it' : String(error);
  return error.message || error.name;
}

/** The socket of a connection; the library's types hide it. */
function socketOf(connection: ChannelModel): Writable | null {
  const inner: unknown = connection.connection;
  if (typeof inner !== 'object' || inner === null || !('stream' in inner)) return null;
  return inner.stream instanceof Writable ? inner.stream : null;
}

/**
 * Lets what is written in one turn of the event loop leave in one packet: the library writes for each channel apart, and
 * packets are most of what a message costs.
 */
function gatherWrites(socket: Writable): void {
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  let corked = false;
  const uncork = (): void => {
    corked = false;
    socket.uncork();
  };
  socket.write = (...args: unknown[]): boolean => {
    if (!corked) {
      corked = true;
      socket.cork();
      process.nextTick(uncork);
    }
    return write(...args);
  };
}

/**
 * One connection to the broker of the rabbit_* flags, made again whenever it is lost: waits of rabbit_retry_interval,
 * then rabbit_retry_backoff more after each attempt, up to 30 s, one line of the log for each.
 */
export class BrokerConnection {
  readonly #log: Logger;
  readonly #users: ConnectionUser[] = [];
  readonly #waiting = new Set<{ resolve(connection: ChannelModel): void; reject(error: Error): void }>();
  #manager: AmqpConnectionManagerClass | null = null;
  #current: ChannelModel | null = null;
  #everConnected = false;
  #failures = 0;
  #closed = false;
  #blocked = false;
  readonly #unblockListeners: (() => void)[] = [];
  #fatal: ((error: StartupError) => void) | null = null;

  constructor(private readonly runtime: Runtime) {
    this.#log = runtime.log.logger('nova.rpc');
  }

  /** Null while the broker is away. */
  get current(): ChannelModel | null {
    return this.#current;
  }
  /** True while the broker takes no messages (its memory or disk alarm). */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Tells `user` of the connection there is and of every later one. */
  use(user: ConnectionUser): void {
    this.#users.push(user);
    if (this.#current !== null) user.attach(this.#current);
  }

  /** What to do when the broker is given up: before the first connection, and after rabbit_max_retries. */
  onFatal(listener: (error: StartupError) => void): void {
    this.#fatal = listener;
  }

  /** Begins to connect; what comes of it goes to the users, and to {@link onFatal}. */
  start(): void {
    if (this.#manager !== null) return;
    const { flags } = this.runtime;
    const manager = new AmqpConnectionManagerClass(
      [
        {
          protocol: flags.rabbit_use_ssl ? 'amqps' : 'amqp',
          hostname: flags.rabbit_host,
          port: flags.rabbit_port,
          username: flags.rabbit_userid,
          password: flags.rabbit_password,
          // the library reads it as part of a URL
          vhost: encodeURIComponent(flags.rabbit_virtual_host),
          heartbeat: flags.rabbit_heartbeat,
        },
      ],
      { heartbeatIntervalInSeconds: flags.rabbit_heartbeat, connectionOptions: {} },
    );
    this.#manager = manager;
    manager.on('connect', () => this.#onConnect(manager));
    manager.on('connectFailed', ({ err }: { err: unknown }) => this.#onFailed(manager, err));
    manager.on('disconnect', ({ err }: { err: unknown }) => this.#onLost(manager, err));
    manager.on('blocked', ({ reason }: { reason: string }) => {
      this.#blocked = true;
      this.#log.warn(`The AMQP server takes no messages for now: ${reason}`);
    });
    manager.on('unblocked', () => {
      this.#blocked = false;
      this.#log.info('The AMQP server takes messages again');
      if (this.#current !== null) for (const listener of this.#unblockListeners) listener();
    });
    void this.#dial(manager);
  }
  /** Calls `listener` when the broker takes messages again. */
  onUnblocked(listener: () => void): void {
    this.#unblockListeners.push(listener);
  }

  async #dial(manager: AmqpConnectionManagerClass): Promise<void> {
    const { flags, files } = this.runtime;
    try {
      const authorities =
        flags.rabbit_use_ssl && flags.kombu_ssl_ca_certs !== '' ? await files.read(flags.kombu_ssl_ca_certs) : null;
      manager.connectionOptions = {
        // without it a lone round trip waits for delayed acknowledgements: 22 ms instead of 0.6 ms
        noDelay: true,
        keepAlive: true,
        timeout: connectTimeoutMs,
        clientProperties: { connection_name: `${this.runtime.binary} ${this.runtime.host}` },
        ...(authorities === null ? {} : { ca: authorities }),
      };
    } catch (error) {
      this.#giveUp(new StartupError(`--kombu_ssl_ca_certs: ${reasonOf(error)}`));
      return;
    }
    // its promise tells of the first attempt only; events tell of all
    await manager.connect().catch(() => undefined);
  }

  /** The connection, or the next one. Throws MessageNotDelivered when there is none within `timeoutMs`. */
  async whenConnected(timeoutMs: number): Promise<ChannelModel> {
    if (this.#current !== null) return this.#current;
    const { connection, giveUp } = this.nextConnection();
    const timer = this.runtime.after(timeoutMs, () =>
      giveUp(new MessageNotDelivered(`The AMQP server was away for ${timeoutMs / 1000} s`)),
    );
    return connection.finally(() => timer.cancel());
  }

  /**
   * The connection, or the next one, for somebody who knows himself how long he waits: `giveUp` rejects it with that
   * error. Throws MessageNotDelivered when there will be none.
   */
  nextConnection(): { connection: Promise<ChannelModel>; giveUp(error: Error): void } {
    if (this.#current !== null) return { connection: Promise.resolve(this.#current), giveUp: () => undefined };
    let giveUp: (error: Error) => void = () => undefined;
    const connection = new Promise<ChannelModel>((resolve, reject) => {
      if (this.#closed) {
        reject(new MessageNotDelivered('The connection to the AMQP server is closed'));
        return;
      }
      const waiter = {
        resolve: (connected: ChannelModel) => {
          this.#waiting.delete(waiter);
          resolve(connected);
        },
        reject: (error: Error) => {
          this.#waiting.delete(waiter);
          reject(error);
        },
      };
      giveUp = waiter.reject;
      this.#waiting.add(waiter);
    });
    return { connection, giveUp };
  }

  /** Ends the connection at once, as a process which dies does. */
  destroy(): void {
    const connection = this.#current;
    this.#end();
    if (connection !== null) socketOf(connection)?.destroy();
  }

  /** Ends the connection in an orderly way; drops it when the broker does not answer within a second. */
  async close(): Promise<void> {
    const connection = this.#current;
    if (connection === null) {
      this.#end();
      return;
    }
    await new Promise<void>((resolve) => {
      const timer = this.runtime.after(1000, () => {
        socketOf(connection)?.destroy();
        resolve();
      });
      this.#end(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #end(onClosed: () => void = () => undefined): void {
    if (this.#closed) {
      onClosed();
      return;
    }
    this.#closed = true;
    const was = this.#current;
    this.#current = null;
    const closing = this.#manager?.close() ?? Promise.resolve();
    closing.then(onClosed, onClosed);
    for (const waiter of [...this.#waiting])
      waiter.reject(new MessageNotDelivered('The connection to the AMQP server is closed'));
    if (was !== null) for (const user of this.#users) user.detach('The connection to the AMQP server was closed');
  }

  get #server(): string {
    return `${this.runtime.flags.rabbit_host}:${this.runtime.flags.rabbit_port}`;
  }

  #onConnect(manager: AmqpConnectionManagerClass): void {
    if (this.#closed || this.runtime.halted) {
      this.destroy();
      return;
    }
    const connection = manager.connection;
    if (connection === undefined) return;
    const socket = socketOf(connection);
    if (socket !== null) gatherWrites(socket);
    this.#current = connection;
    this.#everConnected = true;
    this.#failures = 0;
    this.#blocked = false;
    this.#log.info(`Connected to AMQP server on ${this.#server}`);
    for (const user of this.#users) user.attach(connection);
    for (const waiter of [...this.#waiting]) waiter.resolve(connection);
  }

  #onFailed(manager: AmqpConnectionManagerClass, error: unknown): void {
    if (this.#closed || this.runtime.halted) {
      this.#end();
      return;
    }
    const { flags } = this.runtime;
    const reason = reasonOf(error);
    const refusal = this.#everConnected ? null : this.#refusal(reason);
    if (refusal !== null) {
      this.#giveUp(refusal);
      return;
    }
    this.#failures += 1;
    if (flags.rabbit_max_retries > 0 && this.#failures >= flags.rabbit_max_retries) {
      this.#giveUp(
        new StartupError(
          `The AMQP server on ${this.#server} could not be reached in ${this.#failures} attempts (--rabbit_max_retries): ${reason}`,
        ),
      );
      return;
    }
    this.#waitBeforeNext(manager, `AMQP server on ${this.#server} is unreachable: ${reason}`, this.#failures - 1);
  }

  #onLost(manager: AmqpConnectionManagerClass, error: unknown): void {
    this.#current = null;
    const reason = reasonOf(error);
    for (const user of this.#users) user.detach(`The connection to the AMQP server was lost: ${reason}`);
    if (this.#closed || this.runtime.halted) {
      this.#end();
      return;
    }
    this.#waitBeforeNext(manager, `Lost the connection to the AMQP server on ${this.#server}: ${reason}`, 0);
  }

  /** The library waits as long as its property says at the moment when it begins to wait, which is after the event. */
  #waitBeforeNext(manager: AmqpConnectionManagerClass, what: string, step: number): void {
    const { rabbit_retry_interval: interval, rabbit_retry_backoff: backoff } = this.runtime.flags;
    const seconds = Math.min(interval + backoff * step, longestWaitSeconds);
    manager.reconnectTimeInSeconds = seconds;
    this.#log.error(`${what}. Trying again in ${seconds} seconds.`);
  }

  /** The sentence for a broker which is there and refuses us, or null. Only at start: a running daemon goes on trying. */
  #refusal(reason: string): StartupError | null {
    const { flags } = this.runtime;
    if (/\b403\b|ACCESS[-_]REFUSED/.test(reason)) {
      return new StartupError(
        `The AMQP server on ${this.#server} refuses the user ${flags.rabbit_userid}: check --rabbit_userid and --rabbit_password`,
      );
    }
    // the library reports the broker's refusal to open a virtual host by the names of the frames
    if (/\b530\b|NOT[-_]ALLOWED|ConnectionOpenOk; got <ConnectionClose/.test(reason)) {
      return new StartupError(
        `The AMQP server on ${this.#server} has no virtual host ${flags.rabbit_virtual_host} for the user ` +
          `${flags.rabbit_userid}: check --rabbit_virtual_host`,
      );
    }
    return null;
  }

  #giveUp(error: StartupError): void {
    this.#end();
    this.#fatal?.(error);
  }
}

import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connect, type ChannelModel } from 'amqplib';
import { temporaryFolder } from './temporary.js';

/** A message as the broker's firehose shows it, in the form of the recordings of nova 2011.3. */
export interface RecordedMessage {
  seq: number;
  exchange: string;
  routing_key: string;
  /** Empty: the broker dropped it. */
  routed_queues: string[];
  /** Absent ones are left out. */
  properties: Record<string, unknown>;
  /** Parsed, or the text where it is no JSON. */
  body: unknown;
  body_raw: string;
}

export interface Recording {
  readonly messages: RecordedMessage[];
  /** Resolves with the first message which fits, of those which are there or to come. Throws after `seconds`. */
  waitFor(fits: (message: RecordedMessage) => boolean, seconds?: number): Promise<RecordedMessage>;
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Waits until `ready` gives something; throws `what` after so many seconds. */
export async function until<T>(
  what: string,
  ready: () => Promise<T | undefined | false> | T | undefined | false,
  seconds = 60,
): Promise<T> {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await pause(20)) {
    const value = await ready();
    if (value !== undefined && value !== false) return value;
  }
  throw new Error(`Waited ${seconds} s in vain for ${what}`);
}

/** A RabbitMQ of one's own on free ports of the loopback interface, in a temporary directory. */
export class RabbitMq {
  readonly #folder = temporaryFolder('rabbitmq');
  readonly #node = `nova-${randomUUID().slice(0, 8)}@localhost`;
  /** The port mapper of Erlang; one of our own, so that nothing stays behind. */
  #epmd: ChildProcess | null = null;
  #process: ChildProcess | null = null;
  #vhosts = 0;
  /** Of the account guest. */
  #password = 'guest';

  private constructor(
    readonly port: number,
    private readonly distPort: number,
    private readonly epmdPort: number,
  ) {}

  static async start(): Promise<RabbitMq> {
    const broker = new RabbitMq(await freePort(), await freePort(), await freePort());
    writeFileSync(
      join(broker.#folder, 'rabbitmq.conf'),
      `listeners.tcp.1 = 127.0.0.1:${broker.port}\nlog.console = false\nlog.file.level = warning\n`,
    );
    writeFileSync(join(broker.#folder, 'enabled_plugins'), '[].\n');
    writeFileSync(join(broker.#folder, '.erlang.cookie'), 'NOVATESTCOOKIE', { mode: 0o400 });
    broker.#epmd = spawn('epmd', ['-port', String(broker.epmdPort), '-address', '127.0.0.1'], { stdio: 'ignore' });
    broker.#epmd.unref();
    // RabbitMQ would start one itself, which stays
    await until('epmd', () => listens(broker.epmdPort));
    await broker.start();
    return broker;
  }

  get #environment(): Record<string, string> {
    const { PATH = '/usr/sbin:/usr/bin:/sbin:/bin' } = process.env;
    return {
      PATH,
      HOME: this.#folder,
      LANG: 'C.UTF-8',
      RABBITMQ_NODENAME: this.#node,
      RABBITMQ_NODE_PORT: String(this.port),
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_DIST_PORT: String(this.distPort),
      RABBITMQ_CONFIG_FILE: join(this.#folder, 'rabbitmq'),
      RABBITMQ_CONF_ENV_FILE: join(this.#folder, 'none'),
      RABBITMQ_MNESIA_BASE: join(this.#folder, 'mnesia'),
      RABBITMQ_LOG_BASE: join(this.#folder, 'log'),
      RABBITMQ_PID_FILE: join(this.#folder, 'pid'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(this.#folder, 'enabled_plugins'),
      ERL_EPMD_PORT: String(this.epmdPort),
      ERL_EPMD_ADDRESS: '127.0.0.1',
    };
  }

  /** Of the first process; Erlang is below it. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Flags for a daemon on this broker. */
  flags(vhost = '/'): { rabbit_host: string; rabbit_port: number; rabbit_virtual_host: string } {
    return { rabbit_host: '127.0.0.1', rabbit_port: this.port, rabbit_virtual_host: vhost };
  }

  /** Starts it again after {@link shutDown} or {@link kill9}, on the same port. */
  async start(): Promise<void> {
    this.#process = spawn('/usr/lib/rabbitmq/bin/rabbitmq-server', [], {
      env: this.#environment,
      cwd: this.#folder,
      detached: true,
      stdio: 'ignore',
    });
    this.#process.unref();
    await until(
      'RabbitMQ',
      async () => {
        const connection = await this.connect().catch(() => undefined);
        await connection?.close();
        return connection !== undefined;
      },
      120,
    );
  }

  /** Gives the account guest another password. */
  async changePassword(password: string): Promise<void> {
    await this.ctl('change_password', 'guest', password);
    this.#password = password;
  }

  connect(vhost = '/'): Promise<ChannelModel> {
    return connect(`amqp://guest:${this.#password}@127.0.0.1:${this.port}/${encodeURIComponent(vhost)}`, {
      noDelay: true,
    });
  }

  /** Runs rabbitmqctl; answers what it printed. */
  async ctl(...args: string[]): Promise<string> {
    const child = spawn('/usr/lib/rabbitmq/bin/rabbitmqctl', ['-q', ...args], {
      env: this.#environment,
      cwd: this.#folder,
    });
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (out += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    if (code !== 0) throw new Error(`rabbitmqctl ${args.join(' ')}: ${out}`);
    return out;
  }

  /** Makes an empty virtual host, with the firehose on unless told otherwise, and answers its name. */
  async newVhost(firehose = true): Promise<string> {
    this.#vhosts += 1;
    const name = `v${this.#vhosts}`;
    await this.ctl(
      'eval',
      `rabbit_vhost:add(<<"${name}">>, <<"test">>),` +
        `rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"${name}">>, <<".*">>, <<".*">>, <<".*">>, <<"test">>)` +
        (firehose ? `,rabbit_trace:start(<<"${name}">>).` : '.'),
    );
    return name;
  }

  /** Lists things of a virtual host: `exchanges`, `queues`, `bindings`, `consumers`, with these columns. */
  async list(what: string, vhost: string, columns: readonly string[]): Promise<Record<string, unknown>[]> {
    const where = what === 'connections' ? [] : ['-p', vhost];
    return JSON.parse(await this.ctl('--formatter', 'json', `list_${what}`, ...where, ...columns)) as Record<
      string,
      unknown
    >[];
  }

  /** Records every message published on a virtual host of {@link newVhost}. */
  async recordMessages(vhost: string): Promise<Recording> {
    const connection = await this.connect(vhost);
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true, autoDelete: true, durable: false });
    await channel.bindQueue(queue, 'amq.rabbitmq.trace', 'publish.#');
    const messages: RecordedMessage[] = [];
    await channel.consume(
      queue,
      (message) => {
        if (message === null) return;
        const headers = message.properties.headers as Record<string, unknown>;
        const text = message.content.toString('utf8');
        let body: unknown = text;
        try {
          body = JSON.parse(text);
        } catch {
          // recorded as it is
        }
        messages.push({
          seq: messages.length + 1,
          exchange: String(headers['exchange_name']),
          routing_key: String((headers['routing_keys'] as unknown[])[0]),
          routed_queues: (headers['routed_queues'] as string[] | undefined) ?? [],
          properties: headers['properties'] as Record<string, unknown>,
          body,
          body_raw: text,
        });
      },
      { noAck: true },
    );
    return {
      messages,
      waitFor: (fits, seconds = 30) => until('a message on the wire', () => messages.find(fits), seconds),
      stop: () => connection.close(),
    };
  }

  /** Stops it in good order; what is durable survives. */
  async shutDown(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** Kills it as a power failure does. */
  async kill9(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async restart(): Promise<void> {
    await this.shutDown();
    await this.start();
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child?.pid === undefined || child.exitCode !== null) return;
    child.ref();
    const gone = once(child, 'exit');
    process.kill(-child.pid, signal);
    await gone;
    await until('RabbitMQ to end', async () => {
      const connection = await this.connect().catch(() => undefined);
      await connection?.close();
      return connection === undefined;
    });
  }

  /** Ends it for good and removes its directory. Synchronous, for a process which exits. */
  stop(): void {
    if (this.#process?.pid !== undefined) {
      try {
        process.kill(-this.#process.pid, 'SIGKILL');
      } catch {
        // it ended by itself
      }
    }
    this.#process = null;
    this.#epmd?.kill('SIGKILL');
    this.#epmd = null;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

let shared: Promise<RabbitMq> | null = null;

/** The broker which all suites of one run share; started when the first asks, ended when the run ends. */
export function sharedRabbitMq(): Promise<RabbitMq> {
  shared ??= RabbitMq.start().then((broker) => {
    process.once('exit', () => broker.stop());
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
    return broker;
  });
  return shared;
}

import { rmSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { ConfirmChannel } from 'amqplib';
import pg from 'pg';
import { Cloud } from '../../common/cloud/cloud.js';
import { Context, wireTime } from '../../common/context.js';
import { openDatabase } from '../../common/db/database.js';
import type { Db } from '../../common/db/db.js';
import type { FlagName, Flags } from '../../common/flags/flags.js';
import { parseFlags } from '../../common/flags/parse.js';
import { createImageService } from '../../common/images/client.js';
import { createRpc } from '../../common/rpc/client.js';
import { amqpTransport } from '../../common/rpc/amqp.js';
import type { Transport } from '../../common/rpc/transport.js';
import { manage } from '../../nova-manage/manage.js';
import { prepareProcessCloud, type ProcessCloud } from '../support/cloud.js';
import { signedV2 } from '../support/ec2.js';
import type { RecordedMessage, Recording } from '../support/rabbitmq.js';
import { until } from '../support/rabbitmq.js';
import type { RealRuntime } from '../../common/runtime/real.js';
import { testRuntime } from '../support/runtime.js';
import { recordWrites, writesSince, type Write } from './rows.js';

/** Who calls EC2. */
export interface Caller {
  /** `ACCESS[:PROJECT]`. */
  readonly access: string;
  readonly secret: string;
}
/** The caller of the recorded flows: without authentication, so that the user id is the access key. */
export const recordedCaller: Caller = { access: 'akey:proj', secret: 'skey' };

/** An answer of EC2: status and document. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** All texts of an element in an answer. */
export function texts({ text }: Answer, element: string): string[] {
  return [...text.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, 'g'))].map((match) => match[1]!);
}

/**
 * The system of the recordings, with our daemons: host `cloud1` (and `cloud2` as a second nova-compute), fake drivers,
 * FlatManager, no authentication. Records every message and every row write.
 */
export class RecordedCloud {
  readonly #transport: Transport;
  #messagesBefore = 0;
  #lastWrite = 0;
  #callers = 0;

  private constructor(
    readonly processes: ProcessCloud & { readonly flagFile: string },
    readonly recording: Recording,
    readonly client: pg.Client,
    readonly db: Db,
    private readonly channel: ConfirmChannel,
    transport: Transport,
    private readonly values: Partial<Record<FlagName, unknown>>,
    private readonly runtime: RealRuntime,
    private readonly closeConnection: () => Promise<void>,
  ) {
    this.#transport = transport;
  }

  /** Schema and broker, no daemon and no row of ours yet. */
  static async prepare(): Promise<RecordedCloud> {
    const processes = await prepareProcessCloud({
      flags: [
        '--ec2_auth=noauth',
        '--scheduler_driver=nova.scheduler.multi.MultiScheduler',
        '--fake_spawn_ms=0',
        // What daemons send by the clock comes into no flow by chance; the flows about it have an interval of their own.
        '--periodic_interval=86400',
        '--flat_network_dns=8.8.4.4',
      ],
    });
    const { values } = parseFlags({ argv: [`--flagfile=${processes.flagFile}`], defaultFiles: [] });
    const { runtime, statePath } = testRuntime(values, { binary: 'nova-manage' });
    rmSync(statePath, { recursive: true }); // its state is that of the daemons
    const db = openDatabase(runtime);
    await db.connect();
    const transport = amqpTransport(runtime);
    await transport.connect();
    const url = new URL(processes.database);
    const client = new pg.Client({
      host: url.hostname,
      port: Number(url.port),
      user: url.username,
      password: decodeURIComponent(url.password.replaceAll('+', ' ')),
      database: url.pathname.slice(1),
    });
    client.on('error', () => undefined);
    await client.connect();
    const recording = await processes.broker.recordMessages(processes.vhost);
    const connection = await processes.broker.connect(processes.vhost);
    const channel = await connection.createConfirmChannel();
    const cloud = new RecordedCloud(processes, recording, client, db, channel, transport, values, runtime, () =>
      connection.close(),
    );
    await cloud.manage('db', 'sync');
    await recordWrites(client);
    return cloud;
  }

  /** The flags of the daemons. */
  get flags(): Flags {
    return this.runtime.flags;
  }

  /** The rules behind the doors, as a door of its own has them. */
  get rules(): Cloud {
    const { runtime, db } = this;
    return new Cloud({ runtime, db, rpc: createRpc(runtime, this.#transport), images: createImageService(runtime) });
  }

  /** The caller of the recorded requests to the OpenStack API; each is a request of its own. */
  administrator(): Context {
    const { clock, random } = this.runtime;
    return new Context({
      userId: 'admin',
      projectId: 'proj',
      isAdmin: true,
      readDeleted: false,
      roles: [],
      remoteAddress: '127.0.0.1',
      timestamp: wireTime(clock.now()),
      requestId: random.uuid(),
      authToken: null,
      strategy: 'noauth',
    });
  }

  /** Runs a command of `nova-manage` and answers its exit status and what it printed. */
  manage(...words: string[]): Promise<{ status: number; out: string }> {
    return this.#manage(this.runtime, words);
  }

  /** As {@link manage}, with other flags than the daemons'. */
  manageWith(flags: Partial<Record<FlagName, unknown>>, ...words: string[]): Promise<{ status: number; out: string }> {
    const { runtime, statePath } = testRuntime({ ...this.values, ...flags }, { binary: 'nova-manage' });
    rmSync(statePath, { recursive: true });
    return this.#manage(runtime, words);
  }

  async #manage(runtime: RealRuntime, words: string[]): Promise<{ status: number; out: string }> {
    const out: string[] = [];
    const write = (line: string): void => void out.push(line);
    const status = await manage(
      words,
      {
        runtime,
        print: write,
        database: async () => this.db,
        rawDatabase: async () => this.db,
        rpc: async () => createRpc(runtime, this.#transport),
        images: () => createImageService(runtime),
      },
      { out: write, err: write },
    );
    return { status, out: out.join('\n') };
  }

  /** One request to EC2. Throws on an error, unless `refused` is expected. */
  async ec2(
    action: string,
    params: Record<string, string> = {},
    {
      caller = recordedCaller,
      refused = false,
      endpoint = 'Cloud',
    }: { caller?: Caller; refused?: boolean; endpoint?: 'Cloud' | 'Admin' } = {},
  ): Promise<Answer> {
    const url = new URL(this.processes.environment.EC2_URL);
    const { url: target } = signedV2(
      action,
      { ...params, Timestamp: new Date().toISOString() },
      { ...caller, host: url.host, path: `/services/${endpoint}/` },
    );
    const response = await fetch(new URL(target, url), { headers: { host: url.host } });
    const answer = { status: response.status, text: await response.text() };
    if (answer.status >= 400 !== refused) throw new Error(`${action} ended with ${answer.status}: ${answer.text}`);
    return answer;
  }

  /** Runs one statement past the product. */
  async sql<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.client.query<Row>(text, values)).rows;
  }

  /** Waits until a statement answers true in its first column. */
  async untilTrue(text: string, values: unknown[] = []): Promise<void> {
    await until(text, async () => Object.values((await this.sql(text, values))[0] ?? {})[0] === true);
  }

  /** Waits until an instance (of an EC2 id) has this state and no task. */
  async untilState(id: string, state: string): Promise<number> {
    const number = Number.parseInt(id.replace(/^i-/, ''), 16);
    await this.untilTrue('SELECT vm_state = $2 AND task_state IS NULL FROM instances WHERE id = $1', [number, state]);
    return number;
  }

  async untilGone(id: string): Promise<void> {
    await this.untilTrue('SELECT deleted FROM instances WHERE id = $1', [Number.parseInt(id.slice(2), 16)]);
  }

  async untilVolume(id: string, status: string): Promise<void> {
    const number = Number.parseInt(id.replace(/^vol-/, ''), 16);
    await this.untilTrue('SELECT status = $2 FROM volumes WHERE id = $1', [number, status]);
  }

  /** Runs instances and answers their EC2 ids once they run. */
  async run(params: Record<string, string> = {}, options: { caller?: Caller } = {}): Promise<string[]> {
    const all = { ImageId: 'ami-00000001', InstanceType: 'm1.tiny', MinCount: '1', MaxCount: '1', ...params };
    const ids = texts(await this.ec2('RunInstances', all, options), 'instanceId');
    for (const id of ids) await this.untilState(id, 'active');
    return ids;
  }

  /**
   * Publishes a message by hand, as it was recorded, with its reply queue where it is a call, and answers the replies
   * which are there when `enough` says so.
   */
  async publish(
    message: { routing_key: string; exchange?: string; text: string; properties?: Record<string, unknown> },
    enough: (replies: readonly unknown[]) => boolean = () => true,
  ): Promise<unknown[]> {
    const id = /"_msg_id": "([0-9a-f]{32})"/.exec(message.text)?.[1];
    const replies: unknown[] = [];
    let text = message.text;
    if (id !== undefined) {
      this.#callers += 1;
      const own = id.slice(0, 24) + this.#callers.toString(16).padStart(8, '0');
      text = text.replace(id, own);
      await this.channel.assertExchange(own, 'direct', { durable: false, autoDelete: true });
      await this.channel.assertQueue(own, { durable: false, exclusive: true, autoDelete: true });
      await this.channel.bindQueue(own, own, own);
      await this.channel.consume(
        own,
        (reply) => {
          if (reply !== null) replies.push(JSON.parse(reply.content.toString()));
        },
        { noAck: true },
      );
    }
    const { content_type, content_encoding, delivery_mode, priority, headers } = message.properties ?? {};
    this.channel.publish(message.exchange ?? 'nova', message.routing_key, Buffer.from(text), {
      contentType: content_type as string | undefined,
      contentEncoding: content_encoding as string | undefined,
      deliveryMode: delivery_mode as number | undefined,
      priority: priority as number | undefined,
      headers: headers as Record<string, unknown> | undefined,
    });
    await this.channel.waitForConfirms();
    if (id !== undefined) await until(`the replies to ${text.slice(0, 2000)}`, () => enough(replies));
    return replies;
  }

  /** Answers null to each call on a topic, in place of a daemon which there is not. The function it gives ends that. */
  async answerOn(topic: string): Promise<() => Promise<void>> {
    await this.channel.assertQueue(topic, { durable: false });
    await this.channel.bindQueue(topic, 'nova', topic);
    const { consumerTag } = await this.channel.consume(topic, (message) => {
      if (message === null) return;
      this.channel.ack(message);
      const { _msg_id: id } = JSON.parse(message.content.toString()) as { _msg_id?: string };
      const properties = { contentType: 'application/json', contentEncoding: 'utf-8', headers: {}, deliveryMode: 2 };
      if (id === undefined) return;
      // the result, then the end of it
      const nothing = Buffer.from(JSON.stringify({ result: null, failure: null }));
      for (let part = 0; part < 2; part += 1) {
        this.channel.publish(id, id, nothing, { ...properties, priority: 0 });
      }
    });
    return async () => {
      await this.channel.cancel(consumerTag);
      await this.channel.deleteQueue(topic);
    };
  }

  /** Forgets what was recorded so far. */
  async mark(): Promise<void> {
    this.#messagesBefore = this.recording.messages.length;
    this.#lastWrite = (await writesSince(this.client, this.#lastWrite)).last;
  }

  /** What was recorded since the mark. */
  async recorded(): Promise<{ messages: RecordedMessage[]; writes: Write[] }> {
    const { writes } = await writesSince(this.client, this.#lastWrite);
    return {
      messages: this.recording.messages.slice(this.#messagesBefore),
      writes,
    };
  }

  /** Waits until nothing was recorded for a while. */
  async settle(): Promise<void> {
    let seen = -1;
    for (let turn = 0; turn < 100; turn += 1) {
      const { messages, writes } = await this.recorded();
      const count = messages.length + writes.filter(({ table }) => table !== 'services').length;
      if (count === seen) return;
      seen = count;
      await pause(150);
    }
    throw new Error('The cloud does not come to rest');
  }

  /** Starts a daemon again, with further flags. */
  async restart(binary: string, host: string, flags: readonly string[]): Promise<void> {
    await this.processes.daemon(binary, host).stop();
    await this.processes.start(binary, host, flags);
  }

  async stop(): Promise<void> {
    await this.recording.stop().catch(() => undefined);
    await this.closeConnection().catch(() => undefined);
    await this.client.end().catch(() => undefined);
    await this.#transport.close().catch(() => undefined);
    await this.db.close().catch(() => undefined);
    await this.processes.stop();
  }
}

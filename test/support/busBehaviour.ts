import { expect } from 'chai';
import { adminContext, Context } from '../../common/context.js';
import {
  HostAlreadyServed,
  InstanceNotFound,
  MessageNotDelivered,
  RemoteError,
  RpcTimeout,
} from '../../common/errors.js';
import type { FlagName } from '../../common/flags/flags.js';
import type { Manager } from '../../common/manager.js';
import { createRpc } from '../../common/rpc/client.js';
import { serveManager, type RunningConsumer } from '../../common/rpc/dispatcher.js';
import type { Rpc } from '../../common/rpc/rpc.js';
import type { Transport } from '../../common/rpc/transport.js';
import type { Delivery, MethodTable } from '../../common/rpc/types.js';
import type { RealRuntime } from '../../common/runtime/real.js';
import { until } from './rabbitmq.js';
import { testRuntime, type MemoryLog } from './runtime.js';

/** What the tests of the bus talk to. */
export interface EchoRpc {
  echo(args: { value: unknown }): Promise<unknown>;
  fail(args: { instance_id: number }): Promise<null>;
  crash(args: Record<string, never>): Promise<null>;
  /** Answers when {@link Echo.release} is called. */
  hang(args: Record<string, never>): Promise<null>;
  claim(args: { value: unknown }): Promise<null>;
}
export const echoMethods: MethodTable<EchoRpc> = {
  echo: { required: ['value'] },
  fail: { required: ['instance_id'] },
  crash: { required: [] },
  hang: { required: [] },
  claim: { required: ['value'], ack: 'claim' },
};

export interface Seen {
  readonly method: string;
  readonly context: Context;
  readonly args: unknown;
  readonly redelivered: boolean;
}

/** A manager which answers {@link EchoRpc} and tells what it has seen. */
export class Echo implements Manager<EchoRpc> {
  readonly methods = echoMethods;
  readonly periodicTasks = [];
  readonly seen: Seen[] = [];
  #waiters: { count: number; resolve: () => void }[] = [];
  #hanging: (() => void)[] = [];
  /** What `claim` does; by default it accepts at its end. */
  onClaim: (delivery: Delivery) => Promise<null> = () => Promise.resolve(null);

  readonly handlers: Manager<EchoRpc>['handlers'] = {
    echo: (context, args, delivery) => this.#note('echo', context, args, delivery, () => Promise.resolve(args.value)),
    fail: (context, args, delivery) =>
      this.#note('fail', context, args, delivery, () => Promise.reject(new InstanceNotFound(args.instance_id))),
    crash: (context, args, delivery) =>
      this.#note('crash', context, args, delivery, () => Promise.reject(new RangeError('out of bounds'))),
    hang: (context, args, delivery) =>
      this.#note(
        'hang',
        context,
        args,
        delivery,
        () => new Promise((resolve) => this.#hanging.push(() => resolve(null))),
      ),
    claim: (context, args, delivery) => this.#note('claim', context, args, delivery, () => this.onClaim(delivery)),
  };

  initHost(): Promise<void> {
    return Promise.resolve();
  }

  /** Resolves when so many messages were seen. */
  arrived(count: number): Promise<void> {
    if (this.seen.length >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ count, resolve }));
  }

  /** Lets every hanging call answer. */
  release(): void {
    for (const answer of this.#hanging.splice(0)) answer();
  }

  #note<T>(method: string, context: Context, args: unknown, delivery: Delivery, work: () => Promise<T>): Promise<T> {
    this.seen.push({ method, context, args, redelivered: delivery.redelivered });
    for (const waiter of this.#waiters.filter(({ count }) => this.seen.length >= count)) waiter.resolve();
    return work();
  }
}

/** A bus under test. */
export interface Bus {
  transport(runtime: RealRuntime): Transport;
  readonly flags: Partial<Record<FlagName, unknown>>;
}

/** Daemons of one test, and their end. */
export class Party {
  readonly #ends: (() => Promise<void>)[] = [];

  constructor(private readonly bus: Bus) {}

  /** Somebody who only sends. */
  async client(
    flags: Partial<Record<FlagName, unknown>> = {},
  ): Promise<{ rpc: Rpc; transport: Transport; runtime: RealRuntime; log: MemoryLog }> {
    const { runtime, log } = testRuntime({ ...this.bus.flags, ...flags });
    const transport = this.bus.transport(runtime);
    this.#ends.push(async () => {
      if (!runtime.halted) await transport.close();
      else void transport.close();
    });
    await transport.connect();
    return { rpc: createRpc(runtime, transport), transport, runtime, log };
  }

  /** A daemon which serves a topic. */
  async server(
    topic: string,
    host: string,
    flags: Partial<Record<FlagName, unknown>> = {},
  ): Promise<{
    echo: Echo;
    consumer: RunningConsumer;
    transport: Transport;
    runtime: RealRuntime;
    rpc: Rpc;
    log: MemoryLog;
  }> {
    const echo = new Echo();
    const parts = await this.client({ host, ...flags });
    const consumer = await serveManager(parts, topic, echo);
    return { echo, consumer, ...parts };
  }

  async end(): Promise<void> {
    for (const end of this.#ends.splice(0)) await end();
  }
}

/** Any error which `work` ends with; fails when it ends well. */
export async function errorOf(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('it went well, an error was expected');
}

/** What every transport must do. */
export function busBehaviour(makeBus: () => Promise<Bus>): void {
  let party: Party;
  beforeEach(async () => {
    party = new Party(await makeBus());
  });
  afterEach(() => party.end());

  it('carries a cast with its context and arguments to the daemon of a host', async () => {
    const { echo } = await party.server('compute', 'cloud1');
    const { rpc, runtime } = await party.client();
    const context = new Context({
      ...adminContext(runtime),
      userId: 'Jörg',
      projectId: 'p',
      roles: ['netadmin'],
      authToken: 't',
    });
    await rpc
      .target<EchoRpc>('compute.cloud1')
      .cast.echo(context, { value: { text: 'Größe 😀 \u2028', nothing: null, list: [1, false] } });
    await echo.arrived(1);
    expect(echo.seen[0]).to.deep.equal({
      method: 'echo',
      context,
      args: { value: { text: 'Größe 😀 \u2028', nothing: null, list: [1, false] } },
      redelivered: false,
    });
  });

  it('answers calls with every kind of result, one after the other and side by side', async () => {
    await party.server('network', 'cloud1');
    const { rpc, runtime } = await party.client();
    const { call } = rpc.target<EchoRpc>('network');
    const context = adminContext(runtime);
    const values = [null, false, 0, '', [], {}, 'ü', { deep: [null, { a: 1 }] }, null, 'last'];
    for (const value of values) expect(await call.echo(context, { value })).to.deep.equal(value);
    const many = Array.from({ length: 200 }, (_, index) => (index % 3 === 0 ? null : index));
    expect(await Promise.all(many.map((value) => call.echo(context, { value })))).to.deep.equal(many);
  });

  it('gives the caller class, text and traceback of what a handler throws', async () => {
    await party.server('compute', 'cloud1');
    const { rpc, runtime } = await party.client();
    const { call } = rpc.target<EchoRpc>('compute.cloud1');
    const refusal = await errorOf(call.fail(adminContext(runtime), { instance_id: 7 }));
    expect(refusal).to.be.instanceOf(RemoteError);
    expect(refusal).to.include({ excType: 'InstanceNotFound', value: 'Instance 7 could not be found.' });
    const { traceback } = refusal as RemoteError;
    expect(traceback[0]).to.equal('Traceback (most recent call last):\n');
    expect(traceback.at(-1)).to.equal('InstanceNotFound: Instance 7 could not be found.\n');
    expect(traceback.every((line) => line.endsWith('\n'))).to.equal(true);
    expect(await errorOf(call.crash(adminContext(runtime), {}))).to.include({
      excType: 'Error',
      value: 'out of bounds',
    });
    // and the queue of a failed call does not spoil the next
    expect(await call.echo(adminContext(runtime), { value: 'next' })).to.equal('next');
  });

  it('logs what a cast asks for in vain in one line, and with a trace what went wrong', async () => {
    const { log } = await party.server('compute', 'cloud1');
    const { rpc, runtime } = await party.client();
    const { cast } = rpc.target<EchoRpc>('compute.cloud1');
    const failures = (): string[] => log.lines.filter((line) => line.includes('Exception during message handling'));
    await cast.fail(adminContext(runtime), { instance_id: 7 });
    await until('its line', () => failures().length === 1);
    await cast.crash(adminContext(runtime), {});
    await until('its line', () => failures().length === 2);
    expect(failures()[0]).to.match(/^ERROR nova\.rpc \[\S+\] .* of fail: Instance 7 could not be found\.$/);
    expect(failures()[1]).to.match(/^ERROR nova\.rpc \[\S+\] .* of crash: out of bounds\nRangeError: [^\n]*\n {4}at /);
  });

  it('refuses a confirmed cast and a call to a queue which nobody has declared, and forgets an unconfirmed one', async () => {
    const { rpc, runtime } = await party.client();
    const target = rpc.target<EchoRpc>('compute.nowhere');
    const context = adminContext(runtime);
    expect(await errorOf(target.cast.echo(context, { value: 1 }))).to.be.instanceOf(MessageNotDelivered);
    expect(await errorOf(target.call.echo(context, { value: 1 }))).to.be.instanceOf(MessageNotDelivered);
    await target.cast.echo(context, { value: 1 }, { confirm: false });
    await rpc.fanout(context, 'nobody', 'echo', { value: 1 });
  });

  it('tells a call without answer by method and routing key, and later calls get their own answers', async () => {
    const { echo } = await party.server('compute', 'cloud1');
    const { rpc, runtime } = await party.client();
    const { call } = rpc.target<EchoRpc>('compute.cloud1');
    const error = await errorOf(call.hang(adminContext(runtime), {}, { timeout: 0.3 }));
    expect(error).to.be.instanceOf(RpcTimeout);
    expect(error.message).to.include('hang').and.to.include('compute.cloud1');
    echo.release();
    expect(await call.echo(adminContext(runtime), { value: 'mine' })).to.equal('mine');
  });

  it('gives the messages of a topic to its daemons in turns and a fanout to each', async () => {
    const servers = await Promise.all(['cloud1', 'cloud2'].map((host) => party.server('volume', host)));
    const { rpc, runtime } = await party.client();
    const context = adminContext(runtime);
    for (let index = 0; index < 10; index += 1)
      await rpc.target<EchoRpc>('volume').call.echo(context, { value: index });
    expect(servers.map(({ echo }) => echo.seen.length)).to.deep.equal([5, 5]);
    await rpc.fanout(context, 'volume', 'echo', { value: 'all' });
    await Promise.all(servers.map(({ echo }) => echo.arrived(6)));
    expect(servers.map(({ echo }) => echo.seen[5]?.args)).to.deep.equal([{ value: 'all' }, { value: 'all' }]);
  });

  it('keeps messages for a daemon which is down, in order', async () => {
    const first = await party.server('compute', 'cloud1');
    await first.consumer.stop(1000);
    await first.transport.close();
    const { rpc, runtime } = await party.client();
    for (const value of [1, 2, 3])
      await rpc.target<EchoRpc>('compute.cloud1').cast.echo(adminContext(runtime), { value });
    const second = await party.server('compute', 'cloud1');
    await second.echo.arrived(3);
    expect(second.echo.seen.map(({ args }) => args)).to.deep.equal([{ value: 1 }, { value: 2 }, { value: 3 }]);
    expect(first.echo.seen).to.deep.equal([]);
  });

  it('delivers again what a dead daemon had not accepted, and nothing else', async () => {
    const first = await party.server('compute', 'cloud1');
    first.echo.onClaim = (delivery) => {
      if (first.echo.seen.length === 1) delivery.accept();
      return new Promise(() => undefined);
    };
    const { rpc, runtime } = await party.client();
    const { cast } = rpc.target<EchoRpc>('compute.cloud1');
    for (const value of ['accepted', 'lost']) await cast.claim(adminContext(runtime), { value });
    await first.echo.arrived(2);
    // a round trip of the daemon's own carries its acknowledgements to the broker
    await first.rpc.target<EchoRpc>('compute.cloud1').call.echo(adminContext(runtime), { value: 'round trip' });
    first.runtime.halt();
    void first.transport.close();
    const second = await party.server('compute', 'cloud1');
    await second.echo.arrived(1);
    await cast.echo(adminContext(runtime), { value: 'new' });
    await second.echo.arrived(2);
    expect(second.echo.seen.map(({ args, redelivered }) => ({ args, redelivered }))).to.deep.equal([
      { args: { value: 'lost' }, redelivered: true },
      { args: { value: 'new' }, redelivered: false },
    ]);
  });

  it('refuses a second daemon of the same host and topic, and no other', async () => {
    await party.server('compute', 'cloud1');
    const error = await errorOf(party.server('compute', 'cloud1'));
    expect(error).to.be.instanceOf(HostAlreadyServed);
    expect(error.message).to.include('cloud1').and.to.include('--host');
    await party.server('compute', 'cloud2');
    await party.server('volume', 'cloud1');
  });

  it('answers a caller who has gone without harm to the answers of others', async () => {
    const { echo } = await party.server('compute', 'cloud1');
    const gone = await party.client();
    const stays = await party.client();
    const lost = Array.from({ length: 20 }, () =>
      errorOf(gone.rpc.target<EchoRpc>('compute.cloud1').call.hang(adminContext(gone.runtime), {})),
    );
    const answers = Array.from({ length: 20 }, () =>
      stays.rpc.target<EchoRpc>('compute.cloud1').call.hang(adminContext(stays.runtime), {}),
    );
    await echo.arrived(40);
    await gone.transport.close();
    for (const error of await Promise.all(lost)) expect(error).to.be.instanceOf(MessageNotDelivered);
    echo.release();
    expect(await Promise.all(answers)).to.deep.equal(Array.from({ length: 20 }, () => null));
  });

  it('runs at most rpc_thread_pool_size handlers and leaves the rest in the queue', async () => {
    const first = await party.server('compute', 'cloud1', { rpc_thread_pool_size: 2 });
    const { rpc, runtime } = await party.client();
    const { cast, call } = rpc.target<EchoRpc>('compute.cloud1');
    for (let index = 0; index < 8; index += 1) await cast.hang(adminContext(runtime), {});
    await first.echo.arrived(2);
    await errorOf(call.echo(adminContext(runtime), { value: 'behind the others' }, { timeout: 0.3 }));
    expect(first.echo.seen).to.have.length(2);
    first.echo.release();
    await first.echo.arrived(4);
    // two run, two wait at the daemon, the others at the broker: none of those is lost with the daemon
    const stopped = first.consumer.stop(60_000);
    first.echo.release();
    await stopped;
    expect(first.echo.seen).to.have.length(4);
    await first.transport.close();
    const second = await party.server('compute', 'cloud1');
    await second.echo.arrived(5);
    expect(second.echo.seen.map(({ method }) => method)).to.deep.equal(['hang', 'hang', 'hang', 'hang', 'echo']);
    second.echo.release();
  });

  it('never settles anything for a daemon which was halted', async () => {
    const { echo } = await party.server('compute', 'cloud1');
    const { rpc, runtime } = await party.client();
    let settled = 0;
    const note = (): void => {
      settled += 1;
    };
    const target = rpc.target<EchoRpc>('compute.cloud1');
    target.call.hang(adminContext(runtime), {}).then(note, note);
    await echo.arrived(1);
    runtime.halt();
    target.call.echo(adminContext(runtime), { value: 1 }).then(note, note);
    target.cast.echo(adminContext(runtime), { value: 1 }).then(note, note);
    echo.release();
    // another's round trip is long enough for an answer to come
    const other = await party.client();
    await other.rpc.target<EchoRpc>('compute.cloud1').call.echo(adminContext(other.runtime), { value: 1 });
    expect(settled).to.equal(0);
  });
}

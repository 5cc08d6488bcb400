import { adminContext } from '../../common/context.js';
import { flagsFrom } from '../../common/flags/values.js';
import { amqpTransport } from '../../common/rpc/amqp.js';
import { createRpc } from '../../common/rpc/client.js';
import { RealRuntime } from '../../common/runtime/real.js';
import { startChild } from '../child.js';
import { cpuSeconds, treeCpuSeconds } from '../cloud.js';
import type { Figure, Measurement } from '../figure.js';
import { rawCallers } from '../raw/amqp.js';
import { noLog, type EchoRpc } from '../raw/echo.js';

const value = { instance_id: 1, text: 'x'.repeat(100) };
const inFlight = 64;
/** How often each side is measured. */
const turns = 10;
/** Of what amqplib alone does. */
const share = 0.7;

/** A call and its two replies, between two processes. */
export const rpc: Measurement = {
  name: 'rpc',
  summary: 'rpc.call over RabbitMQ, one at a time and 64 in flight, beside amqplib alone',
  async run(bench) {
    const broker = await bench.servers.broker();
    const vhost = await broker.newVhost(false);
    const url = `amqp://guest:guest@127.0.0.1:${broker.port}/${vhost}`;
    const flags = { ...broker.flags(vhost), host: 'bench' };
    const count = bench.quick ? 500 : 5000;
    const figures: Figure[] = [];
    const rawServer = await startChild('./raw/echo.js', { kind: 'raw', url, topic: 'bench_raw', flags });
    const { callers, close } = await rawCallers(url, inFlight);
    const server = await startChild('./raw/echo.js', { kind: 'product', url, topic: 'bench', flags });
    const runtime = new RealRuntime({ binary: 'bench', flags: flagsFrom(flags), log: noLog });
    const transport = amqpTransport(runtime);
    await transport.connect();
    const target = createRpc(runtime, transport).target<EchoRpc>('bench');
    const sides: Sides = {
      alone: { call: (index) => callers[index]!.call('bench_raw', value), server: rawServer.child.pid },
      ours: { call: () => target.call.echo(adminContext(runtime), { value }), server: server.child.pid },
    };
    for (const parallel of [1, inFlight]) {
      const what = parallel === 1 ? 'one at a time' : `${parallel} in flight`;
      bench.say(`rpc.call and amqplib alone in turns, ${what}`);
      const { alone, ours } = await inTurns(sides, parallel, parallel === 1 ? count : count * 4, broker.pid!);
      figures.push({
        what: `rpc.call, ${what}: share of amqplib alone`,
        measured: (ours.rate / alone.rate) * 100,
        unit: ' %',
        least: share * 100,
        raw: `${Math.round(alone.rate)}/s, ours ${Math.round(ours.rate)}/s`,
        note: `CPU µs each of caller, server, RabbitMQ: ${shown(alone)}, ours ${shown(ours)}`,
      });
    }
    await close();
    await rawServer.child.stop();
    await transport.close();
    await server.child.stop();
    return figures;
  },
};

/** Who calls whom. */
interface Side {
  call(index: number): Promise<unknown>;
  /** The process which is called. */
  readonly server: number;
}
interface Sides {
  readonly alone: Side;
  readonly ours: Side;
}

interface Measured {
  /** Calls a second. */
  readonly rate: number;
  /** Microseconds of CPU for each call: of the caller, the server, RabbitMQ. */
  readonly cpu: readonly number[];
}

function shown({ cpu }: Measured): string {
  const sum = cpu.reduce((all, one) => all + one, 0);
  return `${cpu.map((one) => one.toFixed(0)).join(' + ')} = ${sum.toFixed(0)}`;
}

/** Both sides in turns, so that a machine which is quicker now and slower then is so for both; the sums of all turns. */
async function inTurns(
  sides: Sides,
  parallel: number,
  count: number,
  broker: number,
): Promise<Readonly<Record<keyof Sides, Measured>>> {
  const turn = async ({ call, server }: Side): Promise<{ seconds: number; cpu: number[] }> => {
    const used = (): number[] => [cpuSeconds(process.pid), cpuSeconds(server), treeCpuSeconds(broker)];
    const before = used();
    const seconds = await rounds(call, parallel, count / turns);
    return { seconds, cpu: used().map((after, index) => after - before[index]!) };
  };
  const sums = { alone: { seconds: 0, cpu: [0, 0, 0] }, ours: { seconds: 0, cpu: [0, 0, 0] } };
  for (let index = -1; index < turns; index += 1) {
    for (const name of ['alone', 'ours'] as const) {
      const { seconds, cpu } = await turn(sides[name]);
      if (index < 0) continue; // to warm up
      const sum = sums[name];
      sum.seconds += seconds;
      sum.cpu = sum.cpu.map((before, part) => before + cpu[part]!);
    }
  }
  const measured = ({ seconds, cpu }: { seconds: number; cpu: number[] }): Measured => ({
    rate: count / seconds,
    cpu: cpu.map((one) => (one / count) * 1e6),
  });
  return { alone: measured(sums.alone), ours: measured(sums.ours) };
}

async function rounds(call: (index: number) => Promise<unknown>, parallel: number, count: number): Promise<number> {
  let next = 0;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: parallel }, async (_, index) => {
      while (next++ < count) await call(index);
    }),
  );
  return (performance.now() - startedAt) / 1000;
}

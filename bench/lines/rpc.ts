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
    const measure = async (
      call: (index: number) => Promise<unknown>,
      parallel: number,
      server: number,
    ): Promise<Measured> => {
      const many = parallel === 1 ? count : count * 4;
      await rounds(call, parallel, many / 5);
      const used = (): number[] => [cpuSeconds(process.pid), cpuSeconds(server), treeCpuSeconds(broker.pid!)];
      const before = used();
      const rate = many / (await rounds(call, parallel, many));
      return { rate, cpu: used().map((seconds, index) => ((seconds - before[index]!) / many) * 1e6) };
    };

    bench.say('amqplib alone');
    const raw = new Map<number, Measured>();
    const rawServer = await startChild('./raw/echo.js', { kind: 'raw', url, topic: 'bench_raw', flags });
    const { callers, close } = await rawCallers(url, inFlight);
    for (const parallel of [1, inFlight]) {
      raw.set(
        parallel,
        await measure((index) => callers[index]!.call('bench_raw', value), parallel, rawServer.child.pid),
      );
    }
    await close();
    await rawServer.child.stop();

    bench.say('rpc.call');
    const server = await startChild('./raw/echo.js', { kind: 'product', url, topic: 'bench', flags });
    const runtime = new RealRuntime({ binary: 'bench', flags: flagsFrom(flags), log: noLog });
    const transport = amqpTransport(runtime);
    await transport.connect();
    const target = createRpc(runtime, transport).target<EchoRpc>('bench');
    for (const parallel of [1, inFlight]) {
      const measured = await measure(
        () => target.call.echo(adminContext(runtime), { value }),
        parallel,
        server.child.pid,
      );
      const alone = raw.get(parallel)!;
      const what = parallel === 1 ? 'one at a time' : `${parallel} in flight`;
      figures.push({
        what: `rpc.call, ${what}: share of amqplib alone`,
        measured: (measured.rate / alone.rate) * 100,
        unit: ' %',
        least: share * 100,
        raw: `${Math.round(alone.rate)}/s, ours ${Math.round(measured.rate)}/s`,
        note: `CPU µs each of caller, server, RabbitMQ: ${shown(alone)}, ours ${shown(measured)}`,
      });
    }
    await transport.close();
    await server.child.stop();
    return figures;
  },
};

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

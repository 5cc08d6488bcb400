import { expect } from 'chai';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { adminContext, type Context } from '../../../common/context.js';
import { amqpTransport } from '../../../common/rpc/amqp.js';
import { InProcessBus } from '../../../common/rpc/inProcess.js';
import { Party, type EchoRpc } from '../../support/busBehaviour.js';
import { testRuntime } from '../../support/runtime.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

describe('calls which are over', () => {
  it('leave nothing of caller or answer in memory, however they ended', async () => {
    const bus = new InProcessBus();
    const party = new Party({ transport: (runtime) => bus.transport(runtime), flags: { rpc_response_timeout: 1 } });
    const { echo } = await party.server('compute', 'cloud1');
    const { rpc, runtime } = await party.client();
    const target = rpc.target<EchoRpc>('compute.cloud1');
    const remembered: WeakRef<object>[] = [];
    const contextOf = (): Context => {
      const context = adminContext(runtime);
      remembered.push(new WeakRef(context));
      return context;
    };
    for (let round = 0; round < 20; round += 1) {
      const value = { text: 'x'.repeat(1000) };
      remembered.push(new WeakRef(value));
      const answer = await target.call.echo(contextOf(), { value });
      remembered.push(new WeakRef(answer as object));
      await target.call.fail(contextOf(), { instance_id: round }).catch(() => undefined);
    }
    await target.call.hang(contextOf(), {}, { timeout: 0.05 }).catch(() => undefined);
    echo.release();
    echo.seen.length = 0;
    await new Promise((resolve) => setTimeout(resolve, 20));
    collect();
    expect(remembered.filter((reference) => reference.deref() !== undefined).length).to.be.at.most(2);
    await party.end();
  });

  it('leave nothing of a message in memory while the broker is away, however many they are', async () => {
    // not connected: as if it had never answered
    const transport = amqpTransport(testRuntime().runtime);
    const remembered: WeakRef<object>[] = [];
    const ask = (): Promise<unknown> => {
      const message = { text: 'x'.repeat(100) };
      remembered.push(new WeakRef(message));
      return transport.call('compute.cloud1', () => JSON.stringify(message), { timeoutMs: 200, method: 'echo' });
    };
    const ends = await Promise.allSettled(Array.from({ length: 1500 }, ask));
    const reasons = ends.map((end) => (end.status === 'rejected' ? (end.reason as Error).name : 'answered'));
    expect(new Set(reasons)).to.deep.equal(new Set(['RpcTimeout']));
    ends.length = 0;
    await new Promise((resolve) => setTimeout(resolve, 20));
    collect();
    expect(remembered.filter((reference) => reference.deref() !== undefined).length).to.be.at.most(2);
    await transport.close();
  });
});

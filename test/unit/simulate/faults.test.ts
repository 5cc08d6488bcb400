import { expect } from 'chai';
import { createFloatingIps } from '../../../common/db/floatingIps.js';
import { openDatabase } from '../../../common/db/database.js';
import { Turns } from '../../../common/db/turns.js';
import type { IncomingMessage } from '../../../common/rpc/transport.js';
import type { SimulatedCloud } from '../../../simulate/cloud.js';
import { Injector } from '../../../simulate/faults/injector.js';
import type { Fault } from '../../../simulate/plan.js';
import { within } from '../../support/simulatedCloud.js';

const daemon = 'nova-volume@cloud1';

/** Lets a fault happen now. */
async function strike(cloud: SimulatedCloud, fault: Fault): Promise<Injector> {
  const injector = new Injector(cloud);
  injector.schedule([fault]);
  await cloud.world.sleep(1);
  return injector;
}

/** How something ended, as a text. */
const endOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'ok',
    (error: Error) => error.message,
  );

describe('the faults of the simulation', () => {
  for (const [how, refusal] of [
    ['hopeless', 'the disk is full (simulated: hopeless)'],
    ['other', 'internal error (simulated: other)'],
  ] as const) {
    it(`refuse a COMMIT, and no other statement: ${how}`, () =>
      within(async (cloud) => {
        const { runtime, dialect } = cloud.daemons.get(daemon)!.life!;
        const db = openDatabase(runtime, { serialize: true, turns: new Turns(), sql: dialect });
        await strike(cloud, { at: 0, kind: 'database', daemon, after: 0, how, times: 1, commits: true });
        expect(await endOf(db.all('SELECT id FROM volumes'))).to.equal('ok');
        expect(await endOf(createFloatingIps(db, ['4.4.5.1']))).to.equal(refusal);
        expect(await cloud.db.all("SELECT id FROM floating_ips WHERE address = '4.4.5.1'")).to.deep.equal([]);
        expect(await endOf(createFloatingIps(db, ['4.4.5.1']))).to.equal('ok');
      }));
  }

  it('keep everybody from a broker which is away, also who starts meanwhile', () =>
    within(async (cloud) => {
      const volume = cloud.daemons.get(daemon)!;
      await strike(cloud, { at: 0, kind: 'broker restart', ms: 40_000 });
      volume.kill();
      void volume.start();
      await cloud.world.sleep(39_000);
      expect([...cloud.daemons.values()].filter((one) => one.life?.transport.connected === true)).to.deep.equal([]);
      await cloud.world.sleep(5000);
      expect(volume.serves).to.equal(true);
    }));

  it('break the connection in a call, whose message arrives or not', () =>
    within(async (cloud) => {
      const { transport } = cloud.daemons.get(daemon)!.life!;
      const arrived: string[] = [];
      const onMessage = (message: IncomingMessage): void => {
        arrived.push(message.body);
        message.ack();
      };
      const other = cloud.daemons.get('nova-scheduler@cloud1')!.life!.transport;
      await other.consume({ topic: 'test', host: 'cloud1', prefetch: 1, onMessage });
      for (const delivered of [false, true]) {
        await strike(cloud, { at: 0, kind: 'unconfirmed', daemon, delivered, ms: 200 });
        const call = transport.call('test', () => String(delivered), { timeoutMs: 9000, method: 'test' });
        expect(await endOf(call)).to.match(/connection/);
        await cloud.world.sleep(1000);
      }
      expect(arrived).to.deep.equal(['true']);
    }));

  it('leave a driver stuck until they end', () =>
    within(async (cloud) => {
      const { troubles, life } = cloud.daemons.get(daemon)!;
      const method = 'createVolume';
      const injector = await strike(cloud, { at: 0, kind: 'driver', daemon, method, how: 'stuck', times: 1, ms: 0 });
      expect(troubles.take(method)?.how).to.equal('stuck');
      let end = 'none';
      void troubles.stuck(life!.runtime).then(() => (end = 'freed'));
      await cloud.world.sleep(3_600_000);
      expect(end).to.equal('none');
      injector.heal();
      await cloud.world.sleep(1);
      expect(end).to.equal('freed');
    }));
});

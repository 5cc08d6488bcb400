import { expect } from 'chai';
import { Injector } from '../../../simulate/faults/injector.js';
import { within } from '../../support/simulatedCloud.js';

describe('the lives of simulated daemons', () => {
  it('end when they are told to; who has to be killed is named', () =>
    within(async (cloud) => {
      const volume = cloud.daemons.get('nova-volume@cloud1')!;
      volume.life!.running!.stop = () => new Promise(() => undefined);
      expect(await cloud.stop()).to.deep.equal(['nova-volume@cloud1']);
      await cloud.world.sleep(600_000);
      expect([...cloud.daemons.values()].filter((daemon) => daemon.life !== undefined)).to.deep.equal([]);
    }));

  it('begin again after a crash, but not for one which did not happen', () =>
    within(async (cloud) => {
      const volume = cloud.daemons.get('nova-volume@cloud1')!;
      const crash = { kind: 'crash', daemon: volume.name, when: 'after', downMs: 200 } as const;
      new Injector(cloud).schedule([
        { ...crash, at: 0, after: 0 },
        { ...crash, at: 200_000, after: 1_000_000 },
        { at: 210_000, kind: 'power', host: 'cloud1', downMs: 300_000 },
      ]);
      const first = volume.life;
      await cloud.world.sleep(100_000);
      expect(volume.serves).to.equal(true);
      expect(volume.life).not.to.equal(first);
      await cloud.world.sleep(300_000);
      expect(volume.life).to.equal(undefined);
      await cloud.world.sleep(200_000);
      expect(volume.serves).to.equal(true);
    }));
});

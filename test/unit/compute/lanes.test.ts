import { expect } from 'chai';
import { Lanes, Slots } from '../../../common/lanes.js';
import { idFromName, nameFromTemplate } from '../../../common/names.js';

describe('lanes', () => {
  it('keeps the order within a lane, past failures, and lets lanes run side by side', async () => {
    const lanes = new Lanes<number>();
    const seen: string[] = [];
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const work = [
      lanes.run(1, async () => {
        await gate;
        seen.push('1a');
        throw new Error('1a failed');
      }),
      lanes.run(1, async () => void seen.push('1b')),
      lanes.run(2, async () => void seen.push('2a')),
    ];
    await work[2];
    open();
    const results = await Promise.allSettled(work);
    expect(seen).to.deep.equal(['2a', '1a', '1b']);
    expect(results.map((result) => result.status)).to.deep.equal(['rejected', 'fulfilled', 'fulfilled']);
    expect(lanes.busy).to.equal(0);
  });

  it('bounds what runs in slots, first come first served, and lets a waiter give up', async () => {
    const slots = new Slots(1);
    const seen: string[] = [];
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const abort = new AbortController();
    const first = slots.run(async () => gate);
    const second = slots.run(async () => void seen.push('second'), abort.signal);
    const third = slots.run(async () => void seen.push('third'));
    abort.abort(new Error('gone'));
    open();
    const results = await Promise.allSettled([first, second, third]);
    expect(results.map((result) => result.status)).to.deep.equal(['fulfilled', 'rejected', 'fulfilled']);
    expect(seen).to.deep.equal(['third']);
  });
});

describe('names from templates', () => {
  it('are those of 2011.3, and lead back to the id', () => {
    expect(nameFromTemplate('instance-%08x', 10)).to.equal('instance-0000000a');
    expect(nameFromTemplate('vm%d.local', 7)).to.equal('vm7.local');
    expect(idFromName('instance-%08x', 'instance-0000000a')).to.equal(10);
    expect(idFromName('vm%d.local', 'vm7.local')).to.equal(7);
    for (const other of ['instance-a', 'instance-0000000A', 'instance-0000000g', 'guest', 'instance-']) {
      expect(idFromName('instance-%08x', other)).to.equal(undefined);
    }
  });
});

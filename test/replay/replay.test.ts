import { expect } from 'chai';
import { documentedIds, Exceptions } from './exceptions.js';
import { exchangesOf, folders } from './recorded.js';
import { type Kind, kinds, ReplayCloud } from './replayCloud.js';
import { Replayer } from './replayer.js';

describe('exceptions to the recorded exchanges', () => {
  it('each has a line in docs/deviations.md, and each line there has an exception', () => {
    const used = new Set(new Exceptions().list.map(({ id }) => id));
    const documented = documentedIds();
    expect(
      [...used].filter((id) => !documented.includes(id)),
      'not documented',
    ).to.deep.equal([]);
    expect(
      documented.filter((id) => !used.has(id)),
      'documented, but not in the list',
    ).to.deep.equal([]);
    expect(new Set(documented).size, 'ids').to.equal(documented.length);
  });
});

for (const kind of Object.keys(kinds) as Kind[]) {
  describe(`recorded EC2 exchanges, replayed on ${kind}`, function () {
    this.timeout(300_000);
    const exceptions = new Exceptions();
    const done = new Set<string>();
    let cloud: ReplayCloud;
    before(async () => {
      cloud = await ReplayCloud.start(kind);
    });
    after(() => cloud?.stop());

    for (const folder of folders) {
      it(`${folder}: ${exchangesOf(folder).filter(({ setup }) => !setup).length} exchanges`, async () => {
        await cloud.reset();
        const replayer = new Replayer(cloud, folder, exceptions);
        const wrong: string[] = [];
        for (const exchange of exchangesOf(folder)) {
          const { unexpected } = await replayer.replay(exchange);
          wrong.push(...unexpected.map((difference) => `${folder}/${exchange.name}: ${difference}`));
        }
        expect(wrong).to.deep.equal([]);
        done.add(folder);
      });
    }

    it('every exception is still needed', function () {
      if (done.size < folders.length) this.skip();
      expect(exceptions.stale()).to.deep.equal([]);
    });
  });
}

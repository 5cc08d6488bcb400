import { expect } from 'chai';
import { type Answer, missing, unreadable } from './answers.js';
import { clientReads } from './clientReads.js';
import { documentedIds, Exceptions } from './exceptions.js';
import { exchangesOf, folders, paramsOf, recordedNames } from './recorded.js';
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
  describe(`the recorded exchanges, replayed on ${kind}`, function () {
    this.timeout(300_000);
    const exceptions = new Exceptions();
    const done = new Set<string>();
    const answers = new Map<string, Answer[]>();
    let cloud: ReplayCloud;
    before(async () => {
      cloud = await ReplayCloud.start(kind);
    });
    after(() => cloud?.stop());

    for (const folder of folders) {
      it(`${folder}: each of the ${recordedNames(folder).length} exchanges`, async () => {
        await cloud.reset();
        const replayer = new Replayer(cloud, folder, exceptions);
        const wrong: string[] = [];
        const compared: string[] = [];
        const given: Answer[] = [];
        answers.set(folder, given);
        for (const exchange of exchangesOf(folder)) {
          const { unexpected, text } = await replayer.replay(exchange);
          const action = text === '' ? '' : (paramsOf(exchange).get('Action') ?? '');
          if (action !== '' && text.includes(`<${action}Response `))
            given.push({ exchange: `${folder}/${exchange.name}`, action, text });
          if (!exchange.setup) compared.push(exchange.name);
          wrong.push(...unexpected.map((difference) => `${folder}/${exchange.name}: ${difference}`));
        }
        expect(wrong).to.deep.equal([]);
        expect(compared.sort(), 'compared').to.deep.equal(recordedNames(folder).sort());
        done.add(folder);
      });
    }

    it('each answer can be read by all parsers', async () => {
      const wrong = await Promise.all([...answers.values()].flat().map(unreadable));
      expect(wrong.flat()).to.deep.equal([]);
    });

    for (const [client, reads] of Object.entries(clientReads)) {
      it(`the answers hold every element which ${client} reads`, async function () {
        if (done.size < folders.length) this.skip();
        expect(answers.get(client), 'answers to it').not.to.be.empty;
        // The recordings of one client lack some actions; the others sent the same.
        expect(await missing(reads, [...answers.values()].flat())).to.deep.equal([]);
      });
    }

    it('every exception is still needed', function () {
      if (done.size < folders.length) this.skip();
      expect(exceptions.stale()).to.deep.equal([]);
    });
  });
}

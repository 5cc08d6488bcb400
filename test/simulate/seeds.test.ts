import { expect } from 'chai';
import { availableParallelism } from 'node:os';
import { runAll } from '../../simulate/pool.js';
import { runPlan } from '../../simulate/run.js';
import { commandOf, selectedPlan, type Selection } from '../../simulate/selection.js';
import { found } from './found.js';

/** Seeds which are run each time; `npm run simulate -- --seeds=10000` runs more of them. */
const seeds = 200;
const steps = 80;

describe('the simulation of the whole cloud', () => {
  it(`leaves all as it should be, whatever breaks, with ${seeds} seeds`, async function () {
    this.timeout(600_000);
    const selections = Array.from({ length: seeds }, (_, index): Selection => ({ seed: index + 1, steps }));
    const failures: string[] = [];
    let answers = 0;
    await runAll(selections, availableParallelism(), ({ problems, outcomes }, selection) => {
      answers += Object.values(outcomes).reduce((sum, times) => sum + times, 0);
      if (problems.length > 0) failures.push([commandOf(selection), ...problems.slice(0, 10)].join('\n  '));
    });
    expect(failures.join('\n')).to.equal('');
    expect(answers).to.be.greaterThan((seeds * steps) / 2);
  });

  it('gives the same log in another process', async () => {
    const selection = { seed: 3, steps: 30 };
    const here = await runPlan(selectedPlan(selection));
    await runAll([selection], 1, ({ digest, lines }) => {
      expect({ digest, lines }).to.deep.equal({ digest: here.digest, lines: here.lines });
    });
    expect(here.lines).to.be.greaterThan(100);
  });

  for (const { name, log, ...selection } of found) {
    it(name, async () => {
      const lines: string[] = [];
      const { problems } = await runPlan(selectedPlan(selection), (line) => lines.push(line));
      expect(problems).to.deep.equal([]);
      expect(log.test(`${lines.join('\n')}\n`), `the seed has another meaning now: ${commandOf(selection)}`).to.equal(
        true,
      );
    });
  }
});

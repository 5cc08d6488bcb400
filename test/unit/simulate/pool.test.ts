import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { runAll } from '../../../simulate/pool.js';

const file = fileURLToPath(new URL('./badWorker.js', import.meta.url));

describe('the pool of processes which simulate', () => {
  const heardOf = async (seeds: readonly number[], limitMs?: number): Promise<string[]> => {
    const heard: string[] = [];
    await runAll(
      seeds.map((seed) => ({ seed, steps: 1 })),
      1,
      ({ seed, problems }) => heard.push(`${seed}: ${problems.map((problem) => problem.split('\n', 1)[0]).join()}`),
      { file, limitMs },
    );
    return heard;
  };

  it('goes on after a run which takes its process along, and after an error which nobody handles', async () => {
    expect(await heardOf([1, 3, 1, 4])).to.deep.equal([
      '1: the run: its process ended (SIGKILL)',
      '3: the world ended: Error: nobody catches this',
      '1: the run: its process ended (SIGKILL)',
      '4: ',
    ]);
  }).timeout(60_000);

  it('goes on after a run which hangs', async () => {
    const hung = '2: the run: did not end within 0.2 seconds';
    expect(await heardOf([2, 2], 200)).to.deep.equal([hung, hung]);
  });
});

import { expect } from 'chai';
import { planOf } from '../../../simulate/plan.js';
import { runPlan } from '../../../simulate/run.js';

async function logOf(seed: number, steps: number): Promise<{ lines: string[]; digest: string }> {
  const lines: string[] = [];
  const { digest } = await runPlan(planOf(seed, steps), (line) => lines.push(line));
  return { lines, digest };
}

describe('the whole cloud on a virtual clock', () => {
  it('gives the same log, byte for byte, for the same seed', async () => {
    const first = await logOf(7, 30);
    const second = await logOf(7, 30);
    expect(second.lines.join('\n')).to.equal(first.lines.join('\n'));
    expect(second.digest).to.equal(first.digest);
  });

  it('gives another log for another seed', async () => {
    const [one, other] = [await logOf(1, 5), await logOf(2, 5)];
    expect(one.digest).not.to.equal(other.digest);
  });
});

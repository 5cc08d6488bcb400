import { expect } from 'chai';
import { SimulatedCloud } from '../../../simulate/cloud.js';
import { SimulatedUser } from '../../../simulate/users.js';

/** The log of a cloud in which a user asks for `steps` things. */
async function logOf(seed: number, steps: number): Promise<{ lines: string[]; statuses: number[]; rows: unknown[] }> {
  const cloud = new SimulatedCloud({ seed });
  const statuses: number[] = [];
  const life = async (): Promise<unknown[]> => {
    await cloud.start();
    const user = new SimulatedUser(cloud);
    for (let step = 0; step < steps; step++) statuses.push((await user.step()).status);
    const rows = await cloud.db.all(
      'SELECT id, host, vm_state, task_state, power_state, uuid FROM instances ORDER BY id',
    );
    await cloud.stop();
    return rows;
  };
  const rows = await cloud.world.run(life());
  return { lines: cloud.log.lines, statuses, rows };
}

describe('the whole cloud on a virtual clock', () => {
  it('gives the same log, byte for byte, for the same seed', async () => {
    const first = await logOf(7, 50);
    const second = await logOf(7, 50);
    expect(second.lines.join('\n')).to.equal(first.lines.join('\n'));
    expect(second.rows).to.deep.equal(first.rows);
    // The run did something, and nothing in it was a defect.
    expect(first.rows).not.to.have.length(0);
    expect(first.statuses).to.include(200).and.to.include(400);
    expect(Math.max(...first.statuses)).to.be.below(500);
    expect(first.lines.filter((line) => line.includes(' CRITICAL '))).to.deep.equal([]);
  });

  it('gives another log for another seed', async () => {
    const [one, other] = [await logOf(1, 10), await logOf(2, 10)];
    expect(one.lines.join('\n')).not.to.equal(other.lines.join('\n'));
  });
});

import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

function run(program: string, args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const file = fileURLToPath(new URL(`../../../${program}/main.js`, import.meta.url));
  return spawnSync(process.execPath, [file, ...args], { encoding: 'utf8' });
}

/** Arguments which make no sense, or would check nothing; and what is said. */
const refused: readonly (readonly [program: string, args: readonly string[], said: RegExp])[] = [
  ['bench', ['--bogus'], /bogus/],
  ['bench', ['--quick=yes'], /quick/],
  ['simulate', ['--bogus'], /bogus/],
  ['simulate', ['--log=/nonexistent/x', '--steps=1'], /--log=\/nonexistent\/x: ENOENT/],
  ['simulate', ['--steps=999999999'], /--steps=999999999 is no number from 1 to 10000/],
  ['simulate', ['--seeds=0'], /--seeds=0 is no number from 1/],
  ['simulate', ['--seed=4294967295', '--seeds=2'], /--seeds=2 is no number from 1 to 1/],
  ['simulate', ['--only-steps=80'], /--only-steps=80 is no number from 0 to 79/],
  ['simulate', ['--only-faults=99'], /--only-faults=99/],
  ['simulate', ['--only-steps=1', '--seeds=2'], /--only-steps wants one seed/],
  ['simulate', ['--jobs=abc'], /--jobs=abc is no number/],
];

describe('the command lines of the simulation and the bench', () => {
  for (const [program, args, said] of refused) {
    it(`refuse ${program} ${args.join(' ')}`, () => {
      const { status, stderr } = run(program, args);
      expect(stderr)
        .to.match(said)
        .and.to.match(/^Usage: npm run/m);
      expect(status).to.equal(2);
    });
  }

  it('know every seed, and a run which passes and cannot be shortened', () => {
    const { status, stdout, stderr } = run('simulate', ['--seed=4294967295', '--steps=1', '--shrink']);
    expect(stdout).to.match(/^1 seeds passed, 0 failed$/m);
    expect(stderr).to.match(/the run passes/);
    expect(status).to.equal(0);
  });
});

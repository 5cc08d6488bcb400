import { expect } from 'chai';
import { action, done } from '../../../nova-api/ec2/action.js';
import { RateLimit } from '../../../nova-api/ec2/rateLimit.js';
import { Refusal } from '../../../nova-api/ec2/refusal.js';
import { signedV2 } from '../../support/ec2.js';
import { admin, bodyOf, demo, openTestDoor, outcome } from '../../support/ec2Door.js';

describe('EC2 rate limit', () => {
  /** A limit on a clock which the test sets; `ask` answers after how many seconds to ask again, 0 for what is granted. */
  function limitAt(perMinute: number): { at: { now: number }; ask(user: string): number } {
    const at = { now: 1_000_000 };
    const rates = new RateLimit({ now: () => at.now }, { ec2_rate_limit: perMinute });
    const ask = (user: string): number => {
      try {
        rates.take(user);
        return 0;
      } catch (error) {
        expect(error).to.be.instanceOf(Refusal).and.include({ status: 503, code: 'RequestLimitExceeded' });
        return (error as Refusal).retryAfter!;
      }
    };
    return { at, ask };
  }

  it('grants so many at once, and one more for each part of a minute, to each user', () => {
    const { at, ask } = limitAt(6);
    for (let count = 0; count < 6; count += 1) expect(ask('bob')).to.equal(0);
    expect(ask('bob')).to.equal(10);
    expect(ask('amy')).to.equal(0);
    at.now += 9_999;
    expect(ask('bob')).to.equal(1);
    at.now += 1;
    expect(ask('bob')).to.equal(0);
    expect(ask('bob')).to.equal(10);
    at.now += 3_600_000;
    for (let count = 0; count < 6; count += 1) expect(ask('bob')).to.equal(0);
    expect(ask('bob')).to.equal(10);
    // a clock which is set back grants nothing, and takes nothing
    at.now -= 60_000;
    expect(ask('bob')).to.equal(10);
    at.now += 10_000;
    expect(ask('bob')).to.equal(0);
  });

  it('grants everything without the flag, and remembers a bounded number of users', () => {
    const without = limitAt(0);
    for (let count = 0; count < 100; count += 1) expect(without.ask('bob')).to.equal(0);
    const { ask } = limitAt(1);
    expect([ask('bob'), ask('bob')]).to.deep.equal([0, 60]);
    for (let user = 0; user < 9_999; user += 1) ask(`user-${user}`);
    expect(ask('bob')).to.equal(60);
    for (let user = 0; user < 10_000; user += 1) ask(`other-${user}`);
    expect(ask('bob'), 'forgotten').to.equal(0);
  });

  it('refuses what is too much with 503 and Retry-After, before it does anything, and counts nobody else’s', async () => {
    let runs = 0;
    const run = async (): Promise<typeof done> => {
      runs += 1;
      return done;
    };
    const actions = { DescribeThings: action({ roles: 'all', params: {}, run }) };
    const { ec2, db, log } = await openTestDoor(actions, { flags: { ec2_rate_limit: 2 } });
    try {
      const right = signedV2('DescribeThings', {}, demo);
      const wrong = signedV2('DescribeThings', {}, { ...demo, secret: 'wrong' });
      for (let count = 0; count < 3; count += 1) {
        expect(await outcome(ec2, wrong)).to.equal('403 SignatureDoesNotMatch');
      }
      expect([await outcome(ec2, right), await outcome(ec2, right)]).to.deep.equal(['200 none', '200 none']);
      const refused = await ec2.handle(right);
      expect([refused.status, refused.headers['retry-after']]).to.deep.equal([503, '30']);
      expect(bodyOf(refused)).to.contain('<Code>RequestLimitExceeded</Code><Message>Request limit exceeded.</Message>');
      expect(runs).to.equal(2);
      expect(await outcome(ec2, signedV2('DescribeThings', {}, admin))).to.equal('200 none');
      expect(log.lines.filter((line) => line.startsWith('ERROR'))).to.deep.equal([]);
    } finally {
      await db.close();
    }
  });
});

import { expect } from 'chai';
import { Lockout } from '../../../nova-api/ec2/lockout.js';
import { action, done } from '../../../nova-api/ec2/action.js';
import { doorRequest, signedV2 } from '../../support/ec2.js';
import { admin, demo, openTestDoor, outcome } from '../../support/ec2Door.js';

const flags = { lockout_attempts: 5, lockout_window: 15, lockout_minutes: 20 };
const minute = 60_000;

/** A lockout on a clock which the test sets. */
function lockoutAt(): { lockout: Lockout; at: { now: number }; isShut(access: string): boolean } {
  const at = { now: 0 };
  const lockout = new Lockout({ now: () => at.now }, flags);
  const isShut = (access: string): boolean => {
    try {
      lockout.check(access);
      return false;
    } catch (error) {
      expect(error).to.include({ status: 403, code: 'AuthFailure', message: 'Too many failed authentications.' });
      return true;
    }
  };
  return { lockout, at, isShut };
}

describe('EC2 lockout', () => {
  it('shuts an access key out after so many failures within the window, for a while', () => {
    const { lockout, at, isShut } = lockoutAt();
    for (let count = 1; count <= 4; count++) expect(lockout.failed('a')).to.equal(false);
    expect(isShut('a')).to.equal(false);
    expect(lockout.failed('a')).to.equal(true);
    expect([isShut('a'), isShut('b')]).to.deep.equal([true, false]);
    at.now += 20 * minute - 1;
    expect(isShut('a')).to.equal(true);
    at.now += 1;
    expect(isShut('a')).to.equal(false);
  });

  it('forgets failures with the window which the first one opened', () => {
    const { lockout, at, isShut } = lockoutAt();
    for (let count = 1; count <= 4; count++) {
      lockout.failed('a');
      at.now += 4 * minute;
    }
    expect(lockout.failed('a')).to.equal(false);
    expect(isShut('a')).to.equal(false);
  });

  it('remembers a bounded number of keys, those which are shut out longest', () => {
    const { lockout, isShut } = lockoutAt();
    for (let count = 1; count <= 5; count++) lockout.failed('victim');
    for (let key = 0; key < 25_000; key++) lockout.failed(`random-${key}`);
    expect(isShut('victim')).to.equal(true);
  });

  it('counts unknown keys and wrong signatures where the pipeline has it, and no other refusal', async () => {
    const actions = { DescribeThings: action({ roles: [], params: {}, run: async () => done }) };
    const right = signedV2('DescribeThings', {}, demo);
    const wrong = signedV2('DescribeThings', {}, { ...demo, secret: 'wrong' });
    const elsewhere = signedV2('DescribeThings', {}, { ...demo, access: 'dkey:nowhere', path: '/services/Admin' });
    const unsigned = doorRequest({ url: '/services/Cloud?Action=DescribeThings&AWSAccessKeyId=dkey' });
    for (const lockout of [false, true]) {
      const { ec2, db, log } = await openTestDoor(actions, { flags: { lockout_attempts: 3 }, lockout });
      try {
        for (let count = 0; count < 9; count++) {
          expect(await outcome(ec2, right)).to.equal('401 UnauthorizedOperation');
          expect(await outcome(ec2, unsigned)).to.equal('400 MissingParameter');
        }
        expect(await outcome(ec2, wrong)).to.equal('403 SignatureDoesNotMatch');
        expect(await outcome(ec2, elsewhere)).to.equal('403 AuthFailure');
        expect(await outcome(ec2, wrong)).to.equal('403 SignatureDoesNotMatch');
        expect(await outcome(ec2, right)).to.equal(lockout ? '403 AuthFailure' : '401 UnauthorizedOperation');
        expect(await outcome(ec2, signedV2('DescribeThings', {}, admin)), 'another key').to.equal('200 none');
        expect(log.lines.filter((line) => line.includes('will be locked out'))).to.have.length(lockout ? 1 : 0);
      } finally {
        await db.close();
      }
    }
  });
});

import { expect } from 'chai';
import { DBError, NovaError } from '../../../common/errors.js';
import { SimulatedLog } from '../../../simulate/simulatedLog.js';
import { World } from '../../../simulate/world.js';

/** How many defects a line tells of. */
function defectsOf(message: string, error?: Error): number {
  const log = new SimulatedLog(new World());
  log.of('nova-api@cloud1')('nova.api.ec2').error(message, error);
  return log.defects.length;
}

describe('the log of the simulation', () => {
  it('knows what tells of a defect in a program', () => {
    expect(defectsOf('Exception during message handling', new TypeError('x is not a function'))).to.equal(1);
    expect(defectsOf('Exception during message handling', new DBError('no such column: hots'))).to.equal(1);
    const unknown = new NovaError('No such thing');
    expect(defectsOf(`Unexpected error raised: ${unknown.message}`, unknown)).to.equal(1);
  });

  it('takes for none what the faults of the simulation bring about', () => {
    const failed = new NovaError('The back end could not spawn (simulated: hang)');
    expect(defectsOf(`Unexpected error raised: ${failed.message}`, failed)).to.equal(0);
    expect(defectsOf('Error during sweep', new DBError('the disk is full (simulated: other)'))).to.equal(0);
    expect(defectsOf('Error during sweep', new DBError('connection refused', 'lost'))).to.equal(0);
    expect(defectsOf('UnknownError raised: No answer came in time')).to.equal(0);
  });
});

import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { startProcessCloud, type ProcessCloud } from '../support/cloud.js';
import { Ec2Caller } from '../support/ec2Client.js';
import { until } from '../support/rabbitmq.js';
import { childrenOf } from '../support/serverProcess.js';

describe('nova-api with several processes', function () {
  this.timeout(180_000);
  let cloud: ProcessCloud;
  let ec2: Ec2Caller;
  before(async () => {
    cloud = await startProcessCloud({ hosts: 1, objectstore: false, flags: ['--ec2_workers=2'] });
    ec2 = new Ec2Caller(cloud.environment);
  });
  after(() => cloud?.stop());

  it('serves requests from all of them, and images as before', async () => {
    expect(childrenOf(cloud.daemon('nova-api').pid)).to.have.length(2);
    await Promise.all(Array.from({ length: 12 }, () => ec2.done('DescribeKeyPairs')));
    expect((await ec2.done('DescribeImages')).texts('imageId')).to.deep.equal(['ami-00000001']);
    const id = await ec2.runInstance();
    await until('the instance to run', async () => (await ec2.instance(id)).state === 'running');
  });

  it('goes on when one is killed, and has another soon', async () => {
    const [first] = childrenOf(cloud.daemon('nova-api').pid);
    process.kill(first!, 'SIGKILL');
    const others = await until('another process', () => {
      const now = childrenOf(cloud.daemon('nova-api').pid);
      return now.length === 2 && !now.includes(first!) && now;
    });
    expect(others).to.have.length(2);
    await ec2.done('DescribeKeyPairs');
  });

  it('ends with all of them', async () => {
    const daemon = cloud.daemon('nova-api');
    const workers = childrenOf(daemon.pid);
    const { code } = await daemon.stop();
    expect(code).to.equal(0);
    const left = workers.filter((pid) => existsSync(`/proc/${pid}`));
    expect(left).to.deep.equal([]);
  });
});

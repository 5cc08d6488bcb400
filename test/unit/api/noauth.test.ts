import { expect } from 'chai';
import { type ApiCloud, startApiCloud, textOf, textsOf, unlimited } from '../../support/apiCloud.js';

describe('the cloud without authentication', function () {
  this.timeout(60_000);
  let cloud: ApiCloud;
  afterEach(() => cloud.stop());

  const warnings = (): string[] => cloud.log.lines.filter((line) => line.startsWith('WARNING nova.api.ec2'));

  it('is what nobody gets who has not asked for it', async () => {
    cloud = await startApiCloud({ ec2_auth: '' });
    expect(warnings()).to.deep.equal([]);
    expect((await cloud.caller('whoever:demo', 'whatever').call('DescribeInstances')).code).to.equal('AuthFailure');
  });

  it('warns at its start, and makes an administrator of whoever calls, with what 2011.3 shows to one', async () => {
    cloud = await startApiCloud({ ...unlimited, ec2_auth: 'noauth' });
    expect(warnings()).to.have.length(1);
    expect(warnings()[0]).to.include('without authentication').and.include('--ec2_auth');

    const joe = cloud.caller('joe:acme', 'whatever');
    await joe.ok('CreateKeyPair', { KeyName: 'k' });
    const run = await joe.ok('RunInstances', { ImageId: cloud.image, InstanceType: 'm1.tiny', KeyName: 'k' });
    expect(textOf(run, 'ownerId')).to.equal('acme');
    const instance = textOf(run, 'instanceId');
    const volume = textOf(await joe.ok('CreateVolume', { Size: 1 }), 'volumeId');
    const address = textOf(await joe.ok('AllocateAddress'), 'publicIp');
    await cloud.settle();
    await joe.ok('CreateSnapshot', { VolumeId: volume });

    // Anybody else sees and may do all of it; without a project the caller is in the one of his name.
    const jane = cloud.caller('jane', '');
    const shown = await jane.ok('DescribeInstances');
    expect(textsOf(shown, 'instanceId')).to.deep.equal([instance]);
    expect(textOf(shown, 'keyName')).to.equal('k (acme, cloud1)');
    expect(textOf(await jane.ok('DescribeVolumes'), 'status')).to.equal('available (acme, cloud1, None, None)');
    expect(textOf(await jane.ok('DescribeAddresses'), 'instanceId')).to.equal('None (acme)');
    expect(textsOf(await jane.ok('DescribeAvailabilityZones', { 'ZoneName.1': 'verbose' }), 'zoneName')).to.include(
      '|- cloud1',
    );
    await jane.ok('ReleaseAddress', { PublicIp: address });
    await jane.ok('TerminateInstances', { 'InstanceId.1': instance });
    await cloud.settle();
    expect(textsOf(await jane.ok('DescribeInstances'), 'instanceId')).to.deep.equal([]);
    const group = await jane.ok('CreateSecurityGroup', { GroupName: 'mine', GroupDescription: 'of jane' });
    expect(textOf(group, 'ownerId')).to.equal('jane');

    // Bad input is refused all the same.
    expect((await cloud.anonymous('DescribeInstances')).status).to.equal(400);
    expect((await jane.call('DescribeEverything')).code).to.equal('InvalidAction');
    expect((await jane.call('CreateVolume', { Size: -1 })).code).to.equal('InvalidParameterValue');
    expect((await jane.call('TerminateInstances', { 'InstanceId.1': 'vol-1' })).code).to.equal('InvalidEc2Id');
  });
});

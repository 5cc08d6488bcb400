import { expect } from 'chai';
import { type ApiCloud, startApiCloud, textOf, textsOf, unlimited } from '../../support/apiCloud.js';

describe('descriptions of a running cloud', function () {
  this.timeout(60_000);
  let cloud: ApiCloud;
  before(async () => {
    cloud = await startApiCloud(unlimited);
  });
  after(() => cloud.stop());

  it('DescribeInstancesV6 shows the address of a network which has IPv6, and DescribeInstances none', async () => {
    const demo = cloud.as('demo');
    await cloud.db.run('UPDATE networks SET cidr_v6 = ?, project_id = NULL', ['fd00:1::/64']);
    const id = textOf(await demo.ok('RunInstances', { ImageId: cloud.image }), 'instanceId');
    await cloud.settle();
    const [row] = await cloud.db.all<{ address: string }>('SELECT address FROM virtual_interfaces');
    const [, , , d, e, f] = row!.address.split(':');
    const [six] = textsOf(await demo.ok('DescribeInstancesV6', { 'InstanceId.1': id }), 'dnsNameV6');
    // The EUI-64 of a MAC which begins with 02:16:3e.
    const groups = ['16', `3eff`, `fe${d}`, `${e}${f}`].map((group) => group.replace(/^0+(?=.)/, ''));
    expect(six).to.equal(`fd00:1::${groups.join(':')}`);
    expect((await demo.ok('DescribeInstances')).xml).not.to.contain('dnsNameV6');
    await cloud.db.run('UPDATE networks SET cidr_v6 = NULL');
    const without = await demo.ok('DescribeInstancesV6');
    expect(textsOf(without, 'instanceId')).to.deep.equal([id]);
    expect(without.xml).not.to.contain('dnsNameV6');
    await demo.ok('TerminateInstances', { 'InstanceId.1': id });
    await cloud.settle();
  });

  it('a filter which there is not has no effect, and a line in the log', async () => {
    const demo = cloud.as('demo');
    await demo.ok('CreateKeyPair', { KeyName: 'filtered' });
    for (const action of ['DescribeKeyPairs', 'DescribeSecurityGroups', 'DescribeImages', 'DescribeRegions']) {
      const all = await demo.ok(action);
      const name = `of-${action}`;
      const asked = await demo.ok(action, { 'Filter.1.Name': name, 'Filter.1.Value.1': 'x' });
      const known = (xml: string): string => xml.replace(/<requestId>.*<\/requestId>/, '');
      expect(known(asked.xml), action).to.equal(known(all.xml));
      expect(cloud.log.lines.filter((line) => line.includes(`filters without effect: ["${name}"]`))).to.have.length(1);
    }
    await demo.ok('DeleteKeyPair', { KeyName: 'filtered' });
  });

  it('pages hold each instance, volume, snapshot, image, group and tag once', async () => {
    const demo = cloud.as('demo');
    const { ok } = demo;
    for (const size of ['1', '2', '3']) await ok('CreateVolume', { Size: size });
    await ok('RunInstances', { ImageId: cloud.image, MinCount: '3', MaxCount: '3' });
    await ok('RunInstances', { ImageId: cloud.image, MinCount: '2', MaxCount: '2' });
    await cloud.settle();
    const instances = textsOf(await ok('DescribeInstances'), 'instanceId');
    const volumes = textsOf(await ok('DescribeVolumes'), 'volumeId');
    for (const volume of volumes) await ok('CreateSnapshot', { VolumeId: volume });
    for (const name of ['a', 'b', 'c']) await ok('CreateSecurityGroup', { GroupName: name, GroupDescription: name });
    const tags = Object.fromEntries(
      ['x', 'y', 'z'].flatMap((key, at) => [
        [`Tag.${at + 1}.Key`, key],
        [`Tag.${at + 1}.Value`, key],
      ]),
    );
    await ok('CreateTags', { 'ResourceId.1': instances[0]!, ...tags });
    await cloud.settle();
    for (const [action, element, count] of [
      ['DescribeInstances', 'instanceId', 5],
      ['DescribeInstanceStatus', 'instanceId', 5],
      ['DescribeVolumes', 'volumeId', 3],
      ['DescribeVolumeStatus', 'volumeId', 3],
      ['DescribeSnapshots', 'snapshotId', 3],
      ['DescribeImages', 'imageId', null],
      ['DescribeSecurityGroups', 'groupName', 4],
      ['DescribeTags', 'key', 3],
      ['DescribeInstanceTypes', 'instanceType', 5],
    ] as const) {
      const all = textsOf(await ok(action), element);
      const seen: string[] = [];
      let token: string | undefined;
      do {
        const page = await ok(action, { MaxResults: '2', ...(token !== undefined && { NextToken: token }) });
        const shown = textsOf(page, element);
        expect(shown.length, `${action} on a page`).to.be.within(1, 2);
        seen.push(...shown);
        token = textsOf(page, 'nextToken')[0];
      } while (token !== undefined);
      expect(seen.sort(), action).to.deep.equal(all.sort());
      if (count !== null) expect(seen, action).to.have.length(count);
      expect((await demo.call(action, { NextToken: 'none' })).code, action).to.equal('InvalidNextToken');
      expect((await demo.call(action, { MaxResults: '0' })).code, action).to.equal('InvalidParameterValue');
    }
    // A client ends what it finds page by page.
    let token: string | undefined;
    let ended = 0;
    do {
      const page = await ok('DescribeInstances', { MaxResults: '2', ...(token !== undefined && { NextToken: token }) });
      for (const id of textsOf(page, 'instanceId')) {
        await ok('TerminateInstances', { 'InstanceId.1': id });
        ended += 1;
      }
      await cloud.settle();
      token = textsOf(page, 'nextToken')[0];
    } while (token !== undefined);
    expect(ended).to.equal(5);
  });

  it('a snapshot has its attributes, which nothing changes', async () => {
    const demo = cloud.as('demo');
    const [snapshot] = textsOf(await demo.ok('DescribeSnapshots'), 'snapshotId');
    const asked = { SnapshotId: snapshot!, Attribute: 'createVolumePermission' };
    const answer = await demo.ok('DescribeSnapshotAttribute', asked);
    expect(answer.xml).to.match(/<snapshotId>snap-\w+<\/snapshotId><createVolumePermission\/>/);
    expect(textOf(await demo.ok('ResetSnapshotAttribute', asked), 'return')).to.equal('true');
    for (const [action, user, params, code] of [
      ['DescribeSnapshotAttribute', 'demo', { ...asked, Attribute: 'size' }, 'ApiError'],
      ['ResetSnapshotAttribute', 'demo', { ...asked, Attribute: 'size' }, 'ApiError'],
      ['DescribeSnapshotAttribute', 'other', asked, 'SnapshotNotFound'],
      ['ResetSnapshotAttribute', 'other', asked, 'SnapshotNotFound'],
      ['ModifySnapshotAttribute', 'demo', asked, 'UnsupportedOperation'],
    ] as const) {
      expect((await cloud.as(user).call(action, params)).code, `${action} of ${user}`).to.equal(code);
    }
  });
});

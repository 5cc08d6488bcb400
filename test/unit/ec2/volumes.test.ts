import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { Context } from '../../../common/context.js';
import { projectRoot } from '../../../common/projectRoot.js';
import type { Ec2Actions, Ec2Result } from '../../../nova-api/ec2/action.js';
import { readParams } from '../../../nova-api/ec2/params.js';
import { tagActions } from '../../../nova-api/ec2/tags.js';
import { volumeActions } from '../../../nova-api/ec2/volumes.js';
import { zoneActions } from '../../../nova-api/ec2/zones.js';
import { caller, VolumeWorld } from '../../support/volumeWorld.js';

const actions: Ec2Actions = { ...volumeActions, ...zoneActions, ...tagActions };

describe('EC2 actions about volumes and zones', () => {
  let world: VolumeWorld;
  let admin: Context;
  beforeEach(async () => {
    world = await VolumeWorld.create({ region_list: [] });
    admin = caller(world.runtime, { isAdmin: true, userId: 'akey', projectId: 'proj' });
  });
  const call = (name: string, params: Record<string, string> = {}, context: Context = admin): Promise<Ec2Result> =>
    Promise.resolve().then(() =>
      actions[name]!.run(
        world.cloud,
        context,
        readParams(actions[name]!.params, new Map(Object.entries(params))) as never,
      ),
    );
  const refusal = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'taken',
      (error: Error) => `${error.name}: ${error.message}`,
    );

  it('answer with the elements which 2011.3 answers with', async () => {
    const recorded = (name: string): Set<string> => {
      const text = readFileSync(`${projectRoot()}/test/recordings/http/ec2/volumes.json`, 'utf8');
      const { [name]: body } = JSON.parse(text) as Record<string, string>;
      return new Set([...body!.matchAll(/<(\w+)/g)].map((match) => match[1]!));
    };
    const elements = (value: unknown): string[] => {
      if (Array.isArray(value)) return value.flatMap((item) => ['item', ...elements(item)]);
      if (typeof value !== 'object' || value === null) return [];
      return Object.entries(value).flatMap(([name, child]) => (child === undefined ? [] : [name, ...elements(child)]));
    };
    await world.service('cloud1', 'volume');
    const answers: Record<string, Ec2Result> = {
      CreateVolume: await call('CreateVolume', { Size: '1', AvailabilityZone: 'nova' }),
    };
    await world.db.update('volumes', { status: 'available', host: 'cloud1' }, 'id = 1');
    answers['CreateSnapshot'] = await call('CreateSnapshot', {
      VolumeId: 'vol-00000001',
      Description: 'a description',
    });
    answers['DescribeSnapshots'] = await call('DescribeSnapshots', { 'Owner.1': 'self' });
    await world.instance({ vm_state: 'active', task_state: null, host: 'cloud1' });
    const attach = { VolumeId: 'vol-00000001', InstanceId: 'i-00000001', Device: 'vdc' };
    answers['AttachVolume'] = await call('AttachVolume', attach);
    const attached = { status: 'in-use', attach_status: 'attached', instance_id: 1, mountpoint: '/dev/vdc' };
    await world.db.update('volumes', attached, 'id = 1');
    answers['DescribeVolumes'] = await call('DescribeVolumes', { 'VolumeId.1': 'vol-00000001' });
    answers['DetachVolume'] = await call('DetachVolume', { VolumeId: 'vol-00000001' });
    answers['DescribeAvailabilityZones'] = await call('DescribeAvailabilityZones');
    answers['DescribeRegions'] = await call('DescribeRegions');
    for (const [name, answer] of Object.entries(answers)) {
      const ours = new Set(elements(answer));
      const theirs = [...recorded(name)].filter((element) => !/^(xml|requestId|\w+Response)$/.test(element));
      // An empty set of attachments has no empty item: today's clients show it as an attachment of nothing.
      const missing = theirs.filter(
        (element) => !ours.has(element) && !(name === 'CreateVolume' && element === 'item'),
      );
      expect(missing, name).to.deep.equal([]);
    }
    const [item] = answers['DescribeVolumes']!['volumeSet'] as Ec2Result[];
    expect(item).to.include({ status: 'in-use (proj, cloud1, i-00000001[cloud1], /dev/vdc)', size: 1 });
    const [attachment] = item!['attachmentSet'] as Ec2Result[];
    expect(attachment!['attachTime'], 'the time of the row when the daemon wrote none').to.match(
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
    );
    expect(answers['AttachVolume']).to.include({ status: 'attaching', device: '/dev/vdc' });
    expect(answers['CreateSnapshot']).to.include({ description: 'a description', progress: '0%' });
  });

  it('show others than administrators the plain status', async () => {
    await world.volume();
    const answer = await call('DescribeVolumes', {}, caller(world.runtime));
    expect((answer['volumeSet'] as Ec2Result[])[0]).to.include({ status: 'available', volumeId: 'vol-00000001' });
  });

  it('filter', async () => {
    await world.volume({ project_id: 'proj', display_name: 'data' });
    await world.volume({
      project_id: 'proj',
      status: 'in-use',
      attach_status: 'attached',
      instance_id: 10,
      mountpoint: '/dev/vdb',
    });
    const ids = async (name: string, value: string): Promise<unknown[]> => {
      const answer = await call('DescribeVolumes', { 'Filter.1.Name': name, 'Filter.1.Value.1': value });
      return (answer['volumeSet'] as Ec2Result[]).map((item) => item['volumeId']);
    };
    expect(await ids('volume-id', 'vol-00000002')).to.deep.equal(['vol-00000002']);
    expect(await ids('status', 'avail*')).to.deep.equal(['vol-00000001']);
    expect(await ids('attachment.instance-id', 'i-0000000a')).to.deep.equal(['vol-00000002']);
    expect(await ids('tag:Name', 'data')).to.deep.equal(['vol-00000001']);
    expect(await ids('no-such-filter', 'x')).to.have.length(2);
  });

  it('refuse bad parameters', async () => {
    expect(await refusal(call('CreateVolume', { Size: 'abc' }))).to.match(
      /^ApiError: Value \(abc\) for parameter Size is invalid/,
    );
    expect(await refusal(call('CreateVolume'))).to.equal('ApiError: Size or SnapshotId must be given');
    expect(await refusal(call('DeleteVolume'))).to.match(/parameter VolumeId/);
    expect(await refusal(call('DeleteVolume', { VolumeId: 'garbage' }))).to.match(/^InvalidEc2Id/);
    expect(await refusal(call('DescribeVolumes', { 'VolumeId.1': 'vol-00abcdef' }))).to.match(/^VolumeNotFound/);
    expect(await refusal(call('DescribeVolumeAttribute', { VolumeId: 'vol-00000001', Attribute: 'x' }))).to.match(
      /^VolumeNotFound/,
    );
    expect(await world.writes()).to.deep.equal([]);
  });

  it("take a snapshot's tag Name for its name, and no other tag", async () => {
    await world.volume({ project_id: 'proj' });
    const texts = { VolumeId: 'vol-00000001', Description: 'kept' };
    const { snapshotId: id } = (await call('CreateSnapshot', texts)) as { snapshotId: string };
    const tag = (key: string, value: string): Record<string, string> => ({
      'ResourceId.0': id,
      'Tag.0.Key': key,
      'Tag.0.Value': value,
    });
    const shown = async (): Promise<Ec2Result> => ((await call('DescribeSnapshots'))['snapshotSet'] as Ec2Result[])[0]!;
    expect(await call('CreateTags', tag('Name', 'nightly'))).to.deep.equal({ return: true });
    const tagSet = [{ key: 'Name', value: 'nightly' }];
    expect(await shown()).to.deep.include({ tagSet, displayName: 'nightly', description: 'kept' });
    const byTag = { 'Filter.1.Name': 'tag:Name', 'Filter.1.Value.1': 'night*' };
    expect((await call('DescribeSnapshots', byTag))['snapshotSet']).to.have.length(1);
    expect(await call('DescribeTags')).to.deep.equal({
      tagSet: [{ resourceId: id, resourceType: 'snapshot', key: 'Name', value: 'nightly' }],
    });
    expect(await refusal(call('CreateTags', tag('Owner', 'me')))).to.equal(
      'ApiError: A snapshot has no other tag than Name: Owner',
    );
    const other = caller(world.runtime, { projectId: 'other' });
    expect(await refusal(call('CreateTags', tag('Name', 'mine'), other))).to.match(/^SnapshotNotFound/);
    expect(await refusal(call('DeleteTags', tag('Name', 'nightly'), other))).to.match(/^SnapshotNotFound/);
    await call('DeleteTags', tag('Name', 'weekly'));
    await call('DeleteTags', tag('Owner', 'me'));
    expect(await shown()).to.deep.include({ tagSet });
    await call('DeleteTags', tag('Name', 'nightly'));
    expect(await shown()).to.deep.include({ tagSet: [], displayName: null, description: 'kept' });
  });

  it('show zones whatever region a client names', async () => {
    const zones = await call('DescribeAvailabilityZones');
    const libcloud = {
      'Filter.1.Name': 'region-name',
      'Filter.1.Value.1': 'us-east-1',
      'Filter.2.Name': 'state',
      'Filter.2.Value.1': 'available',
    };
    expect(await call('DescribeAvailabilityZones', libcloud)).to.deep.equal(zones);
    const other = { 'Filter.1.Name': 'zone-name', 'Filter.1.Value.1': 'elsewhere' };
    expect(await call('DescribeAvailabilityZones', other)).to.deep.equal({ availabilityZoneInfo: [] });
  });

  it('show a region for each of the flag region_list', async () => {
    world = await VolumeWorld.create({ region_list: ['east=10.0.0.1', 'west=10.0.0.2'], ec2_port: 80 });
    expect(await call('DescribeRegions', { 'Filter.1.Name': 'region-name', 'Filter.1.Value.1': 'west' })).to.deep.equal(
      {
        regionInfo: [{ regionName: 'west', regionEndpoint: 'http://10.0.0.2:80/services/Cloud' }],
      },
    );
  });
});

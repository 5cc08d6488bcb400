import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { Parser } from 'xml2js';
import { recordInstanceError } from '../../../common/db/instanceActions.js';
import { changeInstance } from '../../../common/db/instances.js';
import { instanceActions } from '../../../nova-api/ec2/instances.js';
import { readParams } from '../../../nova-api/ec2/params.js';
import { successDocument } from '../../../nova-api/ec2/xml.js';
import { anImage, rulesCloud, type RulesCloud } from '../../support/cloudRules.js';
import { recordings } from '../../support/recordings.js';

type Tree = { [element: string]: Tree[] | string[] };

describe('EC2 actions about instances', () => {
  let rules: RulesCloud;
  const run = { ImageId: 'ami-00000003', InstanceType: 'm1.tiny' };
  const images = [
    anImage({ id: '1', container_format: 'aki' }),
    anImage({ id: '2', container_format: 'ari' }),
    anImage({ id: '3', properties: { kernel_id: '1', ramdisk_id: '2' } }),
  ];

  async function answer(action: string, query: Record<string, string>, context = rules.context()): Promise<string> {
    const { params, run: work } = instanceActions[action]!;
    const result = await work(rules.cloud, context, readParams(params, new Map(Object.entries(query))) as never);
    return successDocument(action, '2009-11-30', 'request', result);
  }
  async function ask(action: string, query: Record<string, string>, context = rules.context()): Promise<Tree> {
    const document = (await new Parser().parseStringPromise(await answer(action, query, context))) as Record<
      string,
      Tree
    >;
    return document[`${action}Response`]!;
  }
  const refusal = async (action: string, query: Record<string, string>): Promise<string> =>
    ask(action, query).then(
      () => 'answered',
      (error: Error & { code?: string }) => error.code ?? error.name,
    );
  /** Texts of one element of each item of a list, wherever the list is. */
  const texts = (document: string, element: string): string[] =>
    [...document.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, 'g'))].map((match) => match[1]!);
  const setState = (id: number, vm_state: string, task_state: string | null = null): Promise<boolean> =>
    changeInstance(rules.db, id, { vm_state, task_state, host: 'cloud1' });

  beforeEach(async () => {
    rules = await rulesCloud({ images });
  });
  afterEach(() => rules.close());

  it('RunInstances answers every element which 2011.3 answered, and what new clients need', async () => {
    const path = new URL('http/ec2-answers/boto-2.49.0-v2.run_instances.json', recordings);
    const file = JSON.parse(readFileSync(path, 'utf8')) as { exchanges: { response: { body: string } }[] };
    const recorded = (
      (await new Parser().parseStringPromise(file.exchanges[0]!.response.body)) as Record<string, Tree>
    )['RunInstancesResponse']!;
    const own = await ask('RunInstances', {
      ...run,
      'Placement.AvailabilityZone': 'nova',
      MinCount: '1',
      MaxCount: '2.0',
    });
    expect(own).to.include.keys(Object.keys(recorded));
    const instance = (tree: Tree): Tree => ((tree['instancesSet'] as Tree[])[0]!['item'] as Tree[])[0]!;
    expect(instance(own)).to.include.keys(Object.keys(instance(recorded)));
    for (const name of [
      'imageId',
      'kernelId',
      'ramdiskId',
      'instanceState',
      'placement',
      'rootDeviceName',
      'rootDeviceType',
    ]) {
      expect(instance(own)[name], name).to.deep.equal(instance(recorded)[name]);
    }
    expect(instance(own)).to.not.have.any.keys('stateReason', 'blockDeviceMapping', 'architecture');
    expect((own['instancesSet'] as Tree[])[0]!['item']).to.have.length(2);
    const rows = await rules.db.all('SELECT availability_zone FROM instances');
    expect(rows).to.deep.equal([{ availability_zone: 'nova' }, { availability_zone: 'nova' }]);
  });

  it('RunInstances reads what clients of all ages send', async () => {
    await ask('RunInstances', {
      ...run,
      MinCount: '0',
      MaxCount: '0',
      SecurityGroup: 'default',
      'SecurityGroupId.1': 'sg-00000001',
      UserData: 'aGVsbG8=\n',
      'BlockDeviceMapping.1.DeviceName': '/dev/sdb',
      'BlockDeviceMapping.1.NoDevice': '',
      'BlockDeviceMapping.2.DeviceName': '/dev/sdc',
      'BlockDeviceMapping.2.Ebs.VolumeSize': '1',
      'BlockDeviceMapping.2.Ebs.DeleteOnTermination': 'false',
      'TagSpecification.1.ResourceType': 'instance',
      'TagSpecification.1.Tag.1.Key': 'Name',
      'TagSpecification.1.Tag.1.Value': 'web',
      'Monitoring.Enabled': 'true',
    });
    expect(
      await rules.db.all('SELECT device_name, no_device, volume_size FROM block_device_mapping ORDER BY id'),
    ).to.deep.equal([
      { device_name: '/dev/sdb', no_device: true, volume_size: null },
      { device_name: '/dev/sdc', no_device: null, volume_size: 1 },
    ]);
    expect(await rules.db.all('SELECT user_data FROM instances')).to.deep.equal([{ user_data: 'aGVsbG8=\n' }]);
    expect(await rules.db.all('SELECT security_group_id FROM security_group_instance_association')).to.have.length(1);
    expect(await rules.db.all('SELECT "key", "value" FROM instance_metadata')).to.deep.equal([
      { key: 'Name', value: 'web' },
    ]);
  });

  it('RunInstances refuses malformed requests', async () => {
    expect(await refusal('RunInstances', { InstanceType: 'm1.tiny' })).to.equal('MissingParameter');
    expect(await refusal('RunInstances', { ...run, MaxCount: '-1' })).to.equal('InvalidParameterValue');
    expect(await refusal('RunInstances', { ...run, MaxCount: 'many' })).to.equal('InvalidParameterValue');
    const device = 'BlockDeviceMapping.1';
    expect(await refusal('RunInstances', { ...run, [`${device}.VirtualName`]: 'swap' })).to.equal('MissingParameter');
    const source = { ...run, [`${device}.DeviceName`]: '/dev/sdb', [`${device}.Ebs.SnapshotId`]: 'ami-1' };
    expect(await refusal('RunInstances', source)).to.equal('InvalidEc2Id');
    expect(await rules.db.all('SELECT id FROM instances')).to.deep.equal([]);
  });

  it('DescribeInstances shows states in EC2 numbers, and why an instance is in error', async () => {
    await ask('RunInstances', { ...run, MaxCount: '6' });
    await setState(1, 'active');
    await setState(2, 'active', 'stopping');
    await setState(3, 'stopped');
    await setState(4, 'active', 'deleting');
    await setState(5, 'error');
    await recordInstanceError(rules.db, 5, 'run_instance', 'first');
    await recordInstanceError(rules.db, 5, 'run_instance', 'No host & no hope');
    const document = await answer('DescribeInstances', {});
    expect(texts(document, 'name')).to.deep.equal([
      'pending',
      'error',
      'shutting-down',
      'stopped',
      'stopping',
      'running',
    ]);
    expect(texts(document, 'code')).to.deep.equal(['0', '0', 'Server.InternalError', '32', '80', '64', '16']);
    expect(texts(document, 'message')).to.deep.equal(['No host &amp; no hope']);
    expect(texts(document, 'reason')).to.deep.equal(['No host &amp; no hope']);
    expect(texts(document, 'reservationId')).to.have.length(1);
  });

  it('DescribeInstances puts dnsName after publicDnsName and leaves out an attachment time which it does not know', async () => {
    await ask('RunInstances', run);
    await rules.db.insert('fixed_ips', { address: '10.0.0.2', instance_id: 1, allocated: true });
    const volume = { project_id: 'demo', status: 'in-use', attach_time: '-' };
    for (const attach_time of ['-', '2011-09-22T10:00:00Z']) {
      const volume_id = await rules.db.insert('volumes', { ...volume, attach_time });
      await rules.db.insert('block_device_mapping', { instance_id: 1, device_name: `/dev/vd${volume_id}`, volume_id });
    }
    const document = await answer('DescribeInstances', { 'InstanceId.1': 'i-1', 'InstanceId.2': 'i-00abcdef' });
    expect(document).to.match(/<publicDnsName\/>.*<dnsName>10\.0\.0\.2<\/dnsName>/);
    expect(texts(document, 'volumeId')).to.deep.equal(['vol-00000001', 'vol-00000002']);
    expect(texts(document, 'attachTime')).to.deep.equal(['2011-09-22T10:00:00Z']);
    expect(texts(document, 'groupId')).to.deep.equal(['default', 'sg-00000001']);
  });

  it('DescribeInstances decorates keyName for administrators, who see all projects', async () => {
    await ask('RunInstances', run);
    await setState(1, 'active');
    const admin = rules.context({ projectId: 'proj', isAdmin: true });
    expect(texts(await answer('DescribeInstances', {}, admin), 'keyName')).to.deep.equal(['None (demo, cloud1)']);
    const other = rules.context({ projectId: 'other' });
    expect(texts(await answer('DescribeInstances', {}, other), 'instanceId')).to.deep.equal([]);
  });

  it('DescribeInstances filters', async () => {
    await ask('RunInstances', { ...run, MaxCount: '2' });
    await setState(1, 'active');
    await ask('CreateTags', { 'ResourceId.1': 'i-00000002', 'Tag.1.Key': 'role', 'Tag.1.Value': 'db' });
    const found = async (name: string, value: string): Promise<string[]> =>
      texts(await answer('DescribeInstances', { 'Filter.1.Name': name, 'Filter.1.Value.1': value }), 'instanceId');
    expect(await found('instance-state-name', 'running')).to.deep.equal(['i-00000001']);
    expect(await found('instance-state-code', '0')).to.deep.equal(['i-00000002']);
    expect(await found('tag:role', 'd?')).to.deep.equal(['i-00000002']);
    expect(await found('instance-id', 'i-00000001')).to.deep.equal(['i-00000001']);
    expect(await found('instance-id', 'i-9')).to.deep.equal([]);
    expect(await found('group-name', 'default')).to.have.length(2);
    expect(await found('no-such-filter', 'x')).to.have.length(2);
  });

  it('AWS dialect refuses unknown ids', async () => {
    await rules.close();
    rules = await rulesCloud({ images, flags: { ec2_error_codes: 'aws' } });
    expect(await refusal('DescribeInstances', { 'InstanceId.1': 'i-00abcdef' })).to.equal('InstanceNotFound');
  });

  it('TerminateInstances answers old and new state, then shows the instance as terminated by id', async () => {
    await ask('RunInstances', run);
    const document = await answer('TerminateInstances', { 'InstanceId.0': 'i-00000001' });
    expect(texts(document, 'name')).to.deep.equal(['terminated', 'pending']);
    expect(texts(document, 'return')).to.deep.equal(['true']);
    expect(texts(await answer('DescribeInstances', {}), 'instanceId')).to.deep.equal([]);
    const byId = await answer('DescribeInstances', { 'InstanceId.1': 'i-00000001' });
    expect([texts(byId, 'name'), texts(byId, 'code')]).to.deep.equal([['terminated'], ['48']]);
    expect(await refusal('TerminateInstances', {})).to.equal('MissingParameter');
    expect(await refusal('TerminateInstances', { 'InstanceId.1': 'vol-00000001' })).to.equal('InvalidEc2Id');
    expect(await refusal('RebootInstances', { 'InstanceId.1': 'i-00000009' })).to.equal('InstanceNotFound');
  });

  it('a change of several instances changes none when one of them is not there', async () => {
    await ask('RunInstances', run);
    await setState(1, 'active');
    const wrong = { 'InstanceId.1': 'i-00000001', 'InstanceId.2': 'i-00000009' };
    for (const action of ['TerminateInstances', 'StopInstances', 'StartInstances', 'RebootInstances']) {
      expect(await refusal(action, wrong), action).to.equal('InstanceNotFound');
    }
    const row = await rules.db.first('SELECT vm_state, task_state, deleted FROM instances WHERE id = ?', [1]);
    expect(row).to.deep.equal({ vm_state: 'active', task_state: null, deleted: false });
  });

  it('DescribeInstanceStatus shows running instances, or all', async () => {
    await ask('RunInstances', { ...run, MaxCount: '2' });
    await setState(1, 'active');
    expect(texts(await answer('DescribeInstanceStatus', {}), 'instanceId')).to.deep.equal(['i-00000001']);
    const all = await answer('DescribeInstanceStatus', { IncludeAllInstances: 'true' });
    expect(texts(all, 'instanceId')).to.deep.equal(['i-00000002', 'i-00000001']);
    expect(texts(all, 'status')).to.deep.equal(['not-applicable', 'not-applicable', 'ok', 'passed', 'ok', 'passed']);
  });

  it('DescribeInstanceAttribute nests values', async () => {
    await ask('RunInstances', { ...run, UserData: 'aGVsbG8=' });
    const attribute = (Attribute: string): Promise<string> =>
      answer('DescribeInstanceAttribute', { InstanceId: 'i-00000001', Attribute });
    expect(await attribute('kernel')).to.include('<kernel><value>aki-00000001</value></kernel>');
    expect(await attribute('userData')).to.include('<userData><value>aGVsbG8=</value></userData>');
    expect(await attribute('disableApiTermination')).to.include('<disableApiTermination><value>false</value>');
    const unknown = { InstanceId: 'i-00000001', Attribute: 'sourceDestCheck' };
    expect(await refusal('DescribeInstanceAttribute', unknown)).to.equal('ApiError');
  });

  it('tags, types and account attributes have the shapes of boto and awscli', async () => {
    await ask('RunInstances', run);
    await ask('CreateTags', { 'ResourceId.1': 'i-00000001', 'Tag.1.Key': 'a', 'Tag.1.Value': '' });
    const tags = await answer('DescribeTags', { 'Filter.1.Name': 'resource-type', 'Filter.1.Value.1': 'instance' });
    expect(tags).to.include(
      '<item><resourceId>i-00000001</resourceId><resourceType>instance</resourceType><key>a</key><value></value></item>',
    );
    await ask('DeleteTags', { 'ResourceId.1': 'i-00000001', 'Tag.1.Key': 'a' });
    expect(await answer('DescribeTags', {})).to.include('<tagSet/>');
    expect(await refusal('CreateTags', { 'ResourceId.1': 'ami-00000003', 'Tag.1.Key': 'a' })).to.equal(
      'InvalidParameterValue',
    );
    const types = await answer('DescribeInstanceTypes', { 'InstanceType.1': 'm1.small' });
    expect(types).to.include(
      '<instanceTypeDetails xmlns="http://msgs.eucalyptus.com/3.3.0"><item><name>m1.small</name><cpu>1</cpu><disk>20</disk><memory>2048</memory></item>',
    );
    const account = await answer('DescribeAccountAttributes', { 'AttributeName.1': 'max-instances' });
    expect(account).to.include(
      '<attributeName>max-instances</attributeName><attributeValueSet><item><attributeValue>10</attributeValue>',
    );
  });
});

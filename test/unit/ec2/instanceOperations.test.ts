import { expect } from 'chai';
import type { Cloud } from '../../../common/cloud/cloud.js';
import type { Context } from '../../../common/context.js';
import type { InstanceRow } from '../../../common/db/rows.js';
import { cloudActions } from '../../../nova-api/ec2/index.js';
import { readParams } from '../../../nova-api/ec2/params.js';
import { successDocument } from '../../../nova-api/ec2/xml.js';
import { ComputePair } from '../../support/computePair.js';
import { ComputeWorld, userContext } from '../../support/computeWorld.js';
import { delivery } from '../../support/fakeRpc.js';

const user = userContext();
const admin = userContext({ isAdmin: true });

describe('EC2 actions about operations on instances', () => {
  let world: ComputeWorld;
  let pair: ComputePair;
  let cloud: Cloud;
  const actions = cloudActions();

  before(async () => {
    world = await ComputeWorld.create();
    pair = await ComputePair.open(world, 1);
    cloud = pair.rules();
  });

  const ec2Id = ({ id }: InstanceRow): string => `i-${id.toString(16).padStart(8, '0')}`;
  async function answer(name: string, query: Record<string, string>, context: Context = user): Promise<string> {
    const { params, run } = actions.get(name)!;
    const result = await run(cloud, context, readParams(params, new Map(Object.entries(query))) as never);
    return successDocument(name, '2011-01-01', 'request', result);
  }
  const code = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'done',
      (error: Error & { code?: string }) => error.code ?? error.name,
    );
  const stopped = async (instance: InstanceRow): Promise<void> => {
    await world.api(instance.id, { task_state: 'stopping' });
    await pair.source.manager.handlers.stop_instance(user, { instance_id: instance.id }, delivery());
  };

  it('are open to the roles of 2011.3', () => {
    const roles = (name: string): unknown => actions.get(name)!.roles;
    for (const name of ['RescueInstance', 'UnrescueInstance', 'GetVncConsole', 'GetAjaxConsole']) {
      expect(roles(name), name).to.deep.equal([]);
    }
    for (const name of ['UpdateInstance', 'CreateImage', 'ModifyInstanceAttribute', 'GetPasswordData']) {
      expect(roles(name), name).to.deep.equal(['projectmanager', 'sysadmin']);
    }
  });

  it('RescueInstance and UnrescueInstance', async () => {
    const instance = await pair.running();
    expect(await answer('RescueInstance', { InstanceId: ec2Id(instance) }, admin)).to.contain('<return>true</return>');
    await pair.settle();
    expect(await world.row(instance.id)).to.include({ vm_state: 'rescued', task_state: null });
    await answer('UnrescueInstance', { InstanceId: ec2Id(instance) }, admin);
    await pair.settle();
    expect(await world.row(instance.id)).to.include({ vm_state: 'active', task_state: null });
    expect(await code(answer('UnrescueInstance', { InstanceId: ec2Id(instance) }, admin))).to.equal(
      'IncorrectInstanceState',
    );
  });

  it('GetVncConsole and GetAjaxConsole answer a URL, however the id is given', async () => {
    const instance = await pair.running();
    for (const InstanceId of ['InstanceId', 'InstanceId.1']) {
      const query = { [InstanceId]: ec2Id(instance) };
      expect(await answer('GetVncConsole', query, admin)).to.contain('/vnc_auto.html?token=FAKETOKEN&amp;host=');
      expect(await answer('GetAjaxConsole', query, admin)).to.contain(
        '<url>http://127.0.0.1:8000/?token=FAKETOKEN</url>',
      );
    }
  });

  it('CreateImage answers the id of an image which is filled', async () => {
    const base = world.images.add({ container_format: 'ami', properties: {} });
    const instance = await pair.running({ image_ref: base.id });
    const document = await answer('CreateImage', { InstanceId: ec2Id(instance), Name: 'mine', NoReboot: 'true' });
    const id = parseInt(/<imageId>ami-([0-9a-f]{8})<\/imageId>/.exec(document)![1]!, 16);
    expect(world.images.get(String(id))).to.include({ name: 'mine', status: 'queued' });
    await pair.settle();
    expect(world.images.get(String(id))).to.include({ status: 'active' });
    expect(world.images.get(String(id))!.properties).to.include({ image_state: 'available' });
  });

  it('UpdateInstance changes texts and nothing else', async () => {
    const instance = await pair.running();
    await answer('UpdateInstance', {
      InstanceId: ec2Id(instance),
      DisplayName: 'web',
      DisplayDescription: 'one',
      Host: 'x',
    });
    expect(await world.row(instance.id)).to.include({
      display_name: 'web',
      display_description: 'one',
      host: instance.host,
    });
  });

  it('ModifyInstanceAttribute in both forms: what can be on stopped instances, what is so already, nothing else', async () => {
    const instance = await pair.running();
    const InstanceId = ec2Id(instance);
    const modify = (query: Record<string, string>): Promise<string> =>
      code(answer('ModifyInstanceAttribute', { InstanceId, ...query }));
    expect(await modify({ 'InstanceType.Value': 'm1.small' })).to.equal('IncorrectInstanceState');
    await stopped(instance);
    expect(await modify({ 'InstanceType.Value': 'm1.small' })).to.equal('done');
    expect(await modify({ Attribute: 'userData', Value: 'aGk=' })).to.equal('done');
    expect(await world.row(instance.id)).to.include({ instance_type_id: 5, user_data: 'aGk=' });
    for (const [query, outcome] of [
      [{ 'DisableApiTermination.Value': 'false' }, 'done'],
      [{ 'DisableApiTermination.Value': 'true' }, 'UnsupportedOperation'],
      [{ 'SourceDestCheck.Value': 'true' }, 'done'],
      [{ 'SourceDestCheck.Value': 'false' }, 'UnsupportedOperation'],
      [{ 'GroupId.1': 'no such' }, 'SecurityGroupNotFoundForProject'],
      [{ 'GroupId.1': 'sg-00ffffff' }, 'SecurityGroupNotFound'],
      [{ Attribute: 'rootDeviceName', Value: '/dev/sdb' }, 'UnsupportedOperation'],
      [{}, 'MissingParameter'],
      [{ InstanceId: 'i-00ffffff', 'SourceDestCheck.Value': 'true' }, 'InstanceNotFound'],
    ] as const) {
      expect(await modify(query), JSON.stringify(query)).to.equal(outcome);
    }
    expect(await code(answer('ResetInstanceAttribute', { InstanceId, Attribute: 'kernel' }))).to.equal('done');
    expect(await code(answer('ResetInstanceAttribute', { InstanceId, Attribute: 'userData' }))).to.equal(
      'UnsupportedOperation',
    );
  });

  it('ModifyInstanceAttribute puts a running instance into other groups, by id and name', async () => {
    const instance = await pair.running();
    const web = await cloud.securityGroups.create(user, 'web', '');
    const groupSet = async (): Promise<string[]> => {
      const document = await answer('DescribeInstances', { 'InstanceId.1': ec2Id(instance) });
      return [...document.matchAll(/<groupName>([^<]*)</g)].map(([, name]) => name!).sort();
    };
    const query = { InstanceId: ec2Id(instance), 'GroupId.1': `sg-${web.id.toString(16).padStart(8, '0')}` };
    expect(await code(answer('ModifyInstanceAttribute', query))).to.equal('done');
    expect(new Set(await groupSet())).to.deep.equal(new Set(['web']));
    await answer('ModifyInstanceAttribute', { ...query, 'GroupId.2': 'default' });
    expect(new Set(await groupSet())).to.deep.equal(new Set(['default', 'web']));
  });

  it('answers what there is none of: monitoring and passwords', async () => {
    const instance = await pair.running();
    for (const name of ['MonitorInstances', 'UnmonitorInstances']) {
      const document = await answer(name, { 'InstanceId.1': ec2Id(instance) });
      expect(document)
        .to.contain(`<instanceId>${ec2Id(instance)}</instanceId>`)
        .and.to.contain('<state>disabled</state>');
      expect(await code(answer(name, { 'InstanceId.1': 'i-00ffffff' }))).to.equal('InstanceNotFound');
    }
    const password = await answer('GetPasswordData', { InstanceId: ec2Id(instance) });
    expect(password).to.match(/<timestamp>[^<]+Z<\/timestamp>\s*<passwordData\s*(\/>|><\/passwordData>)/);
  });
});

import { expect } from 'chai';
import type { FlagName } from '../../common/flags/flags.js';
import { cloudActions } from '../../nova-api/ec2/index.js';
import { Ec2Door } from '../../nova-api/ec2/server.js';
import { rulesCloud, type RulesCloud } from '../support/cloudRules.js';
import { bodyOf, codeOf } from '../support/ec2Door.js';

type Params = Readonly<Record<string, string | number>>;

/** What a call needed. */
interface Effort {
  readonly statements: number;
  /** By method. */
  readonly messages: Readonly<Record<string, number>>;
}

const unlimited: Partial<Record<FlagName, unknown>> = {
  quota_instances: -1,
  quota_cores: -1,
  quota_ram: -1,
  quota_volumes: -1,
  quota_gigabytes: -1,
  quota_security_group_rules: -1,
};
const few = 2;
const many = 60;

/** `Name.1`, `Name.2`, … */
function numbered(name: string, values: readonly string[]): Params {
  return Object.fromEntries(values.map((value, index) => [`${name}.${index + 1}`, value]));
}

/** Rules for so many ports from a group, each its own. */
function permissions(count: number, first: number): Params {
  const of = (index: number): [string, string | number][] =>
    Object.entries({
      IpProtocol: 'tcp',
      FromPort: first + index,
      ToPort: first + index,
      'IpRanges.1.CidrIp': '10.1.0.0/16',
    }).map(([name, value]) => [`IpPermissions.${index + 1}.${name}`, value]);
  return Object.fromEntries(Array.from({ length: count }, (_, index) => of(index)).flat());
}

/** nova-api alone: no daemon takes its messages, so that what it asks of the database is all that is asked. */
describe('an API call which changes many things', () => {
  let rules: RulesCloud;
  let door: Ec2Door;
  let statements = 0;

  before(async () => {
    rules = await rulesCloud({ flags: unlimited, hosts: ['cloud1', 'cloud2'], watch: () => void (statements += 1) });
    const { runtime } = rules.cloud.parts;
    const lockout = { cloud: false, admin: false };
    const auth = { cloud: 'noauth', admin: 'noauth', lockout, saidBy: 'test', warnings: [] } as const;
    door = new Ec2Door({ runtime, db: rules.db, cloud: rules.cloud, actions: cloudActions(), auth });
    await call('CreateSecurityGroup', { GroupName: 'web', GroupDescription: 'of a test' });
  });
  after(() => rules.close());

  async function call(action: string, params: Params): Promise<{ effort: Effort; ids: string[] }> {
    const signature = { SignatureVersion: 2, SignatureMethod: 'HmacSHA256', Signature: 'any' };
    const claim = { AWSAccessKeyId: 'joe:demo', Timestamp: '2026-11-20T12:00:00Z', ...signature };
    const pairs = Object.entries({ Action: action, Version: '2011-01-01', ...claim, ...params });
    const form = new URLSearchParams(pairs.map(([name, value]): [string, string] => [name, String(value)]));
    const body = Buffer.from(form.toString());
    const [before, told] = [statements, rules.published.length];
    const response = await door.handle({
      method: 'POST',
      url: '/services/Cloud',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      remoteAddress: '127.0.0.1',
      body,
    });
    expect(codeOf(response), `${action}: ${bodyOf(response)}`).to.equal('none');
    const messages: Record<string, number> = {};
    for (const { method } of rules.published.slice(told)) messages[method] = (messages[method] ?? 0) + 1;
    const ids = [...bodyOf(response).matchAll(/<instanceId>(.*?)<\/instanceId>/g)].map(([, id]) => id!);
    return { effort: { statements: statements - before, messages }, ids };
  }

  /** So many instances in a state, half of them on another host; none has a host in `scheduling`. */
  async function instances(count: number, state: 'active' | 'stopped' | 'scheduling'): Promise<string[]> {
    const { ids } = await call('RunInstances', { ImageId: 'ami-00000001', MinCount: count, MaxCount: count });
    if (state === 'scheduling') return ids;
    const numbers = ids.map((id) => parseInt(id.slice(2), 16));
    for (const id of numbers) {
      const values = { vm_state: state, task_state: null, host: id % 2 === 0 ? 'cloud1' : 'cloud2', launched_at: null };
      await rules.db.update('instances', values, 'id = ?', [id]);
    }
    return ids;
  }

  /** The effort of the same call for few and for many. */
  async function efforts(work: (count: number) => Promise<{ effort: Effort }>): Promise<[Effort, Effort]> {
    return [(await work(few)).effort, (await work(many)).effort];
  }

  /** Which message goes out for each instance, by action: one cast each is nova 2011.3's protocol. */
  const perInstance: Readonly<Record<string, string>> = {
    RunInstances: 'run_instance',
    TerminateInstances: 'terminate_instance',
    StopInstances: 'stop_instance',
    StartInstances: 'start_instance',
    RebootInstances: 'reboot_instance',
  };

  function expectFlat(action: string, [small, large]: readonly [Effort, Effort]): void {
    expect(large.statements, `${action}: ${small.statements} statements for ${few}`).to.equal(small.statements);
    const own = perInstance[action];
    const casts = (count: number): object => (own === undefined ? {} : { [own]: count });
    expect([small.messages, large.messages], action).to.deep.equal([casts(few), casts(many)]);
  }

  it('RunInstances: as many statements for sixty as for two, and a message each', async () => {
    const run = (count: number): Promise<{ effort: Effort }> =>
      call('RunInstances', {
        ImageId: 'ami-00000001',
        MinCount: count,
        MaxCount: count,
        'SecurityGroup.1': 'web',
        'TagSpecification.1.ResourceType': 'instance',
        'TagSpecification.1.Tag.1.Key': 'k',
        'TagSpecification.1.Tag.1.Value': 'v',
      });
    await run(1);
    expectFlat('RunInstances', await efforts(run));
  });

  for (const [action, state] of [
    ['StopInstances', 'active'],
    ['StartInstances', 'stopped'],
    ['RebootInstances', 'active'],
    ['TerminateInstances', 'active'],
  ] as const) {
    it(`${action}: as many statements for sixty as for two, and a message each`, async () => {
      const change = async (count: number): Promise<{ effort: Effort }> =>
        call(action, numbered('InstanceId', await instances(count, state)));
      expectFlat(action, await efforts(change));
    });
  }

  it('TerminateInstances of what no host has: as many statements for sixty as for two, and no message', async () => {
    const end = async (count: number): Promise<{ effort: Effort }> =>
      call('TerminateInstances', numbered('InstanceId', await instances(count, 'scheduling')));
    expectFlat('TerminateInstances without hosts', await efforts(end));
  });

  it('CreateTags, with new tags and with new values, and DeleteTags: as many statements for sixty as for two', async () => {
    const ids = await instances(few + many, 'active');
    const some = (count: number): Params =>
      numbered('ResourceId', count === few ? ids.slice(0, few) : ids.slice(few, few + many));
    for (const value of ['first', 'second']) {
      const tag = { 'Tag.1.Key': 'name', 'Tag.1.Value': value };
      expectFlat('CreateTags', await efforts((count) => call('CreateTags', { ...some(count), ...tag })));
    }
    expectFlat('DeleteTags', await efforts((count) => call('DeleteTags', { ...some(count), 'Tag.1.Key': 'name' })));
  });

  it('Authorize- and RevokeSecurityGroupIngress: as many statements for sixty rules as for two', async () => {
    for (const action of ['AuthorizeSecurityGroupIngress', 'RevokeSecurityGroupIngress']) {
      const change = (count: number): Promise<{ effort: Effort }> =>
        call(action, { GroupName: 'web', ...permissions(count, count * 100) });
      expectFlat(action, await efforts(change));
    }
  });
});

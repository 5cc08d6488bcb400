import { expect } from 'chai';
import { SecurityGroups, type PermissionWish } from '../../../common/cloud/securityGroups.js';
import { viewInstances } from '../../../common/db/instanceViews.js';
import { caller, failure, NetworkFixture } from '../network/fixture.js';

const demo = caller();
const other = caller({ project: 'other' });
const wish = (fields: Partial<PermissionWish>): PermissionWish => ({
  protocol: 'tcp',
  fromPort: 80,
  toPort: 80,
  cidrs: [],
  groups: [],
  ...fields,
});

describe('cloud: security groups', () => {
  let cloud: NetworkFixture;
  let groups: SecurityGroups;
  beforeEach(async () => {
    cloud = await NetworkFixture.start();
    groups = new SecurityGroups(cloud.parts);
  });
  afterEach(() => cloud.stop());
  const rules = (name = 'default'): Promise<Record<string, unknown>[]> =>
    cloud.db.all(
      'SELECT r.protocol, r.from_port, r.to_port, r.cidr, r.group_id FROM security_group_rules r JOIN security_groups g ' +
        'ON g.id = r.parent_group_id WHERE g.name = ? AND r.deleted = ? ORDER BY r.id',
      [name, false],
    );

  const groupsOf = async (instanceId: number): Promise<string[]> =>
    (await viewInstances(cloud.db, { ids: [instanceId] }))
      .flatMap((view) => view.groups.map(({ name }) => name))
      .sort();

  it('makes one default group for racing callers', async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, () => groups.ensureDefault(demo)));
    expect(new Set(ids).size).to.equal(1);
    expect(await cloud.db.all('SELECT name, description, user_id, project_id FROM security_groups')).to.deep.equal([
      { name: 'default', description: 'default', user_id: 'demo', project_id: 'demo' },
    ]);
  });

  it('creates, describes and deletes groups by project', async () => {
    await groups.create(demo, 'web', 'web servers');
    await groups.create(other, 'web', 'theirs');
    const shown = async (context = demo): Promise<string[]> =>
      (await groups.describe(context)).map((one) => `${one.project_id}/${one.name}`);
    expect(await shown()).to.deep.equal(['demo/default', 'demo/web']);
    expect(await shown(caller({ isAdmin: true }))).to.deep.equal([
      'demo/default',
      'demo/web',
      'other/default',
      'other/web',
    ]);
    expect((await failure(groups.create(demo, 'web', ''))).message).to.equal('group web already exists');
    expect((await failure(groups.create(demo, 'default', ''))).message).to.equal('group default already exists');
    expect((await failure(groups.create(demo, 'a<b', ''))).message).to.equal(
      'Value (a<b) for parameter GroupName is invalid. Content limited to Alphanumeric characters, spaces, dashes, and underscores.',
    );
    expect((await failure(groups.create(demo, 'n'.repeat(256), ''))).message).to.match(
      /Length exceeds maximum of 255\.$/,
    );
    const [theirs] = await groups.byNames(other, ['web']);
    expect((await failure(groups.delete(demo, { id: theirs!.id }))).message).to.equal(
      `Security group ${theirs!.id} not found.`,
    );
    expect((await failure(groups.delete(demo, { name: 'nope' }))).message).to.equal(
      'Security group nope not found for project demo.',
    );
    await groups.delete(demo, { name: 'web' });
    expect(await shown()).to.deep.equal(['demo/default']);
    expect(await shown(other)).to.deep.equal(['other/default', 'other/web']);
  });

  it('tells each host which has members, once', async () => {
    const base = await groups.ensureDefault(demo);
    for (const host of ['cloud2', 'cloud1', 'cloud1', null]) await cloud.instance([base], { host });
    await cloud.instance([base], { host: 'cloud3', deleted: true });
    await groups.authorize(demo, { name: 'default' }, [wish({})]);
    await groups.revoke(demo, { id: base }, [wish({ cidrs: ['0.0.0.0/0'] })]);
    const message = (to: string): object => ({
      to,
      method: 'refresh_security_group_rules',
      args: { security_group_id: base },
    });
    const once = [message('compute.cloud1'), message('compute.cloud2')];
    expect(cloud.takeSent()).to.deep.equal([...once, ...once]);
    const row = await cloud.db.first<Record<string, unknown>>('SELECT * FROM security_group_rules');
    expect(row).to.include({ deleted: true, cidr: '0.0.0.0/0' });
    expect(row!['deleted_at']).to.be.a('string');
    expect(row!['updated_at']).to.be.a('string');
  });

  it('stores what each form means', async () => {
    const base = await groups.ensureDefault(demo);
    const web = (await groups.create(demo, 'web', '')).id;
    const theirs = (await groups.create(other, 'db', '')).id;
    for (const one of [
      wish({ protocol: 'TCP', fromPort: 0, toPort: 0, cidrs: ['10.1.2.3/8'] }),
      wish({ protocol: '17', fromPort: 53, toPort: 53, cidrs: ['fd00::/8'] }),
      wish({ protocol: 'icmp', fromPort: 8, toPort: 0 }),
      wish({ cidrs: ['10.1.2.3', 'fd00::1'] }),
      wish({ protocol: null, fromPort: null, toPort: null, groups: [{ name: 'web' }] }),
      wish({ cidrs: ['0.0.0.0/0'], groups: [{ id: web }, { name: 'db', project: 'other' }] }),
      wish({ protocol: '-1', fromPort: null, toPort: null, cidrs: ['192.168.0.0/16'] }),
    ]) {
      await groups.authorize(demo, { id: base }, [one]);
    }
    const row = (
      protocol: string | null,
      from: number | null,
      to: number | null,
      cidr: string | null,
      group: number | null,
    ): Record<string, string | number | null> => ({
      protocol,
      from_port: from,
      to_port: to,
      cidr,
      group_id: group,
    });
    expect(await rules()).to.deep.equal([
      row('tcp', 0, 0, '10.1.2.3/8', null),
      row('udp', 53, 53, 'fd00::/8', null),
      row('icmp', 8, 0, '0.0.0.0/0', null),
      row('tcp', 80, 80, '10.1.2.3', null),
      row('tcp', 80, 80, 'fd00::1', null),
      row(null, null, null, null, web),
      row('tcp', 80, 80, null, web),
      row('tcp', 80, 80, null, theirs),
      row('icmp', -1, -1, '192.168.0.0/16', null),
      row('tcp', 1, 65535, '192.168.0.0/16', null),
      row('udp', 1, 65535, '192.168.0.0/16', null),
    ]);
    await groups.delete(demo, { name: 'web' });
    expect(await rules()).to.have.length(9);
  });

  it('lets a group in for the protocol which is named alone, and for everything only when none is', async () => {
    const base = await groups.ensureDefault(demo);
    const web = (await groups.create(demo, 'web', '')).id;
    const open = (protocol: string | null): Promise<void> =>
      groups.authorize(demo, { id: base }, [wish({ protocol, fromPort: null, toPort: null, groups: [{ id: web }] })]);
    for (const protocol of ['TCP', 'udp', '1', null]) await open(protocol);
    expect((await rules()).map((row) => [row['protocol'], row['from_port'], row['to_port']])).to.deep.equal([
      ['tcp', 1, 65535],
      ['udp', 1, 65535],
      ['icmp', -1, -1],
      [null, null, null],
    ]);
    expect((await failure(open('tcp'))).message).to.match(/This rule already exists in group$/);
    const half = wish({ fromPort: null, groups: [{ id: web }] });
    expect((await failure(groups.authorize(demo, { id: base }, [half]))).message).to.match(/Not enough parameters/);
    const close = (): Promise<void> =>
      groups.revoke(demo, { id: base }, [wish({ fromPort: null, toPort: null, groups: [{ id: web }] })]);
    await close();
    expect((await rules()).map((row) => row['protocol'])).to.deep.equal(['udp', 'icmp', null]);
    // what a predecessor stored for the same request
    await close();
    expect((await rules()).map((row) => row['protocol'])).to.deep.equal(['udp', 'icmp']);
    expect((await failure(close())).message).to.equal('No rule for the specified parameters.');
  });

  it('makes no more groups and rules than the quota allows, whoever races', async () => {
    await cloud.stop();
    cloud = await NetworkFixture.start({ quota_security_groups: 3, quota_security_group_rules: 4 });
    groups = new SecurityGroups(cloud.parts);
    const outcomes = async (work: readonly Promise<unknown>[]): Promise<string[]> =>
      (await Promise.allSettled(work)).map((one) =>
        one.status === 'fulfilled' ? 'done' : (one.reason as Error).message,
      );
    const noGroup = 'Security group quota exceeded. You cannot create any more security groups';
    const names = ['a', 'b', 'c', 'd'];
    // the third is `default`
    expect((await outcomes(names.map((name) => groups.create(demo, name, '')))).sort()).to.deep.equal([
      noGroup,
      noGroup,
      'done',
      'done',
    ]);
    await groups.create(other, 'a', '');
    const noRule = 'Security group rule quota exceeded. You cannot add any more rules to the group';
    const add = (port: number): Promise<void> =>
      groups.authorize(demo, { name: 'default' }, [wish({ fromPort: port, toPort: port })]);
    expect((await outcomes([1, 2, 3, 4, 5, 6].map(add))).sort()).to.deep.equal([
      noRule,
      noRule,
      'done',
      'done',
      'done',
      'done',
    ]);
    expect(await rules()).to.have.length(4);
    await cloud.db.insert('quotas', { project_id: 'demo', resource: 'security_groups', hard_limit: -1 });
    await groups.create(demo, 'e', '');
  });

  it('moves an instance to other groups, and tells its host and those who let these in', async () => {
    const base = await groups.ensureDefault(demo);
    const [web, db] = [await groups.create(demo, 'web', ''), await groups.create(demo, 'db', '')];
    // members of db let in those of web
    await groups.authorize(demo, { id: db.id }, [wish({ groups: [{ id: web.id }] })]);
    await cloud.instance([db.id], { host: 'cloud2' });
    const id = await cloud.instance([base]);
    const instance = { id, host: 'cloud1', project_id: 'demo' };
    const held = (): Promise<string[]> => groupsOf(id);
    cloud.takeSent();

    await groups.setOfInstance(demo, instance, [{ name: 'web' }, { id: web.id }]);
    expect(await held()).to.deep.equal(['web']);
    const refresh = (kind: string, to: string, group: number): object => ({
      to: `compute.${to}`,
      method: `refresh_security_group_${kind}`,
      args: { security_group_id: group },
    });
    const told = [
      refresh('rules', 'cloud1', base),
      refresh('rules', 'cloud1', web.id),
      refresh('members', 'cloud2', web.id),
    ];
    expect(cloud.takeSent()).to.deep.equal(told);
    await groups.setOfInstance(demo, instance, [{ name: 'web' }]);
    expect(cloud.takeSent()).to.deep.equal([]);
    await groups.setOfInstance(demo, instance, [{ name: 'default' }]);
    expect(cloud.takeSent()).to.deep.equal(told);
    expect(await held()).to.deep.equal(['default']);

    const theirs = (await groups.create(other, 'theirs', '')).id;
    const foreign = [{ name: 'web' }, { id: theirs }];
    expect((await failure(groups.setOfInstance(demo, instance, foreign))).name).to.equal('SecurityGroupNotFound');
    const asAdmin = groups.setOfInstance(caller({ isAdmin: true }), instance, foreign);
    expect((await failure(asAdmin)).name).to.equal('SecurityGroupNotFound');
    expect(await held()).to.deep.equal(['default']);
  });

  it('takes a group which is in use from its members, and from those who let it in', async () => {
    const base = await groups.ensureDefault(demo);
    const web = (await groups.create(demo, 'web', '')).id;
    await groups.authorize(demo, { id: base }, [wish({ groups: [{ id: web }] }), wish({ toPort: 81 })]);
    const member = await cloud.instance([base, web]);
    cloud.takeSent();
    await groups.delete(demo, { id: web });
    expect(await groupsOf(member)).to.deep.equal(['default']);
    expect((await rules()).map((row) => row['to_port'])).to.deep.equal([81]);
    const refresh = (id: number): object => ({
      to: 'compute.cloud1',
      method: 'refresh_security_group_rules',
      args: { security_group_id: id },
    });
    // the hosts of its members, which lose what it let in, and of those which let its members in
    expect(cloud.takeSent()).to.deep.equal([refresh(web), refresh(base)]);
  });

  it('refuses bad rules and stores none of their request', async () => {
    const base = await groups.ensureDefault(demo);
    await groups.authorize(demo, { id: base }, [wish({}), wish({})]);
    const before = await rules();
    expect(before).to.have.length(1);
    const refused = async (one: Partial<PermissionWish>): Promise<string> => {
      const error = await failure(groups.authorize(demo, { id: base }, [wish({ toPort: 99 }), wish(one)]));
      return `${error.name}: ${error.message}`;
    };
    expect(await refused({ protocol: 'tCp' })).to.equal(
      `ApiError: {'to_port': 80, 'cidr': u'0.0.0.0/0', 'from_port': 80, 'protocol': 'tcp', 'parent_group_id': ${base}} - This rule already exists in group`,
    );
    expect(await refused({ fromPort: null })).to.equal('ApiError: [] Not enough parameters to build a valid rule');
    expect(await refused({ fromPort: 90 })).to.equal('InvalidPortRange: Invalid port range 90:80.');
    expect(await refused({ toPort: 65536 })).to.match(/^InvalidPortRange/);
    expect(await refused({ fromPort: -1, toPort: -1 })).to.match(/^InvalidPortRange/);
    expect(await refused({ protocol: 'icmp', toPort: 256 })).to.match(/^InvalidPortRange/);
    expect(await refused({ protocol: 'gre' })).to.equal('InvalidIpProtocol: Invalid IP protocol gre.');
    expect(await refused({ cidrs: ['10.0.0.0/33'] })).to.equal('InvalidCidr: Invalid cidr 10.0.0.0/33.');
    expect(await refused({ cidrs: ['10.0.0'] })).to.match(/^InvalidCidr/);
    expect(await refused({ cidrs: ['10.0.0.1/'] })).to.match(/^InvalidCidr/);
    expect(await refused({ groups: [{ name: 'pg', project: 'other' }] })).to.equal(
      'SecurityGroupNotFoundForProject: Security group pg not found for project other.',
    );
    const theirs = (await groups.create(other, 'secret', '')).id;
    expect(await refused({ groups: [{ id: theirs }] })).to.match(/^SecurityGroupNotFound:/);
    expect(await rules()).to.deep.equal(before);
    const error = await failure(groups.revoke(demo, { id: base }, [wish({}), wish({ toPort: 81 })]));
    expect(error.message).to.equal('No rule for the specified parameters.');
    expect(await rules()).to.deep.equal(before);
    expect(cloud.takeSent()).to.deep.equal([]);
  });

  it('stores a rule once for racing callers', async () => {
    const base = await groups.ensureDefault(demo);
    const results = await Promise.allSettled(
      Array.from({ length: 5 }, () => groups.authorize(demo, { id: base }, [wish({})])),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
    expect(await rules()).to.have.length(1);
  });
});

import { expect } from 'chai';
import { SecurityGroups, type PermissionWish } from '../../../common/cloud/securityGroups.js';
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
      row('TCP', 0, 0, '10.1.2.3/8', null),
      row('udp', 53, 53, 'fd00::/8', null),
      row('icmp', 8, 0, '0.0.0.0/0', null),
      row(null, null, null, null, web),
      row('tcp', 80, 80, null, web),
      row('tcp', 80, 80, null, theirs),
      row('icmp', -1, -1, '192.168.0.0/16', null),
      row('tcp', 1, 65535, '192.168.0.0/16', null),
      row('udp', 1, 65535, '192.168.0.0/16', null),
    ]);
    await groups.delete(demo, { name: 'web' });
    expect(await rules()).to.have.length(7);
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
      `ApiError: {'to_port': 80, 'cidr': u'0.0.0.0/0', 'from_port': 80, 'protocol': 'tCp', 'parent_group_id': ${base}} - This rule already exists in group`,
    );
    expect(await refused({ fromPort: null })).to.equal('ApiError: [] Not enough parameters to build a valid rule');
    expect(await refused({ fromPort: 90 })).to.equal('InvalidPortRange: Invalid port range 90:80.');
    expect(await refused({ toPort: 65536 })).to.match(/^InvalidPortRange/);
    expect(await refused({ fromPort: -1, toPort: -1 })).to.match(/^InvalidPortRange/);
    expect(await refused({ protocol: 'icmp', toPort: 256 })).to.match(/^InvalidPortRange/);
    expect(await refused({ protocol: 'gre' })).to.equal('InvalidIpProtocol: Invalid IP protocol gre.');
    expect(await refused({ cidrs: ['10.0.0.0/33'] })).to.equal('InvalidCidr: Invalid cidr 10.0.0.0/33.');
    expect(await refused({ cidrs: ['10.0.0.1'] })).to.match(/^InvalidCidr/);
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

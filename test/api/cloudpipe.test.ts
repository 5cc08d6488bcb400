import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { cloudpipeImage } from '../support/accountWorld.js';
import { type ApiCloud, type Caller, startApiCloud, textOf, textsOf } from '../support/apiCloud.js';

describe('cloudpipes at the Admin endpoint', () => {
  let cloud: ApiCloud;
  let admin: Caller;

  before(async () => {
    cloud = await startApiCloud({ vpn_image_id: 2, quota_instances: 1 });
    await cloudpipeImage(cloud, 2);
    admin = cloud.as('admin').at({ endpoint: '/services/Admin' });
  });
  after(() => cloud.stop());

  const outcome = async (project: string): Promise<string> => {
    const { status, code } = await admin.call('StartVpn', { Project: project });
    return `${status} ${code}`;
  };
  const vpnOf = async (project: string): Promise<string> => {
    const items = (await admin.ok('DescribeVpns')).xml.split('<item>').slice(1);
    return items.find((item) => item.includes(`<projectId>${project}<`))!;
  };

  it('starts one for racing callers, with a key and a group of its own, and answers the same one afterwards', async () => {
    expect(await vpnOf('demo')).to.contain('<state>pending</state>');
    const racing = await Promise.all(Array.from({ length: 4 }, () => admin.ok('StartVpn', { Project: 'demo' })));
    const ids = new Set(racing.map((answer) => textOf(answer, 'instanceId')));
    expect([...ids]).to.have.length(1);
    await cloud.settle();
    expect(textOf(await admin.ok('StartVpn', { Project: 'demo' }), 'instanceId')).to.equal([...ids][0]);

    const id = parseInt([...ids][0]!.slice(2), 16);
    const row = await cloud.db.first<Record<string, unknown>>('SELECT * FROM instances WHERE id = ?', [id]);
    // The project's manager owns it.
    expect(row).to.include({ vm_state: 'active', project_id: 'demo', user_id: 'manager', key_name: 'demo-vpn' });
    expect(String(row!['image_ref'])).to.equal('2');
    // Base64, as user data is, of what the image of cloudpipes expects: the base64 of a zip.
    const zip = Buffer.from(Buffer.from(String(row!['user_data']), 'base64').toString(), 'base64');
    expect(zip.subarray(0, 2).toString()).to.equal('PK');
    const group = await cloud.db.all(
      'SELECT r.protocol, r.from_port, r.to_port, r.cidr FROM security_groups g JOIN security_group_rules r ' +
        'ON r.parent_group_id = g.id WHERE g.project_id = ? AND g.name = ? ORDER BY r.protocol',
      ['demo', 'demo-vpn'],
    );
    expect(group).to.deep.equal([
      { protocol: 'icmp', from_port: -1, to_port: -1, cidr: '0.0.0.0/0' },
      { protocol: 'udp', from_port: 1194, to_port: 1194, cidr: '0.0.0.0/0' },
    ]);
    expect(existsSync(`${cloud.folder}/keys/manager/demo-vpn.pem`)).to.equal(true);
    const shown = await vpnOf('demo');
    expect(shown).to.contain(`<instanceId>${[...ids][0]}</instanceId>`);
    // Nobody has said where it is reached.
    expect(shown).to.contain('<state>down - invalid project vpn config</state>');
    expect(shown).to.match(/<createdAt>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ<.*<internalIp>10\.0\.0\.\d+</s);
  });

  it('is hidden from its project, and seen by administrators', async () => {
    expect(textsOf(await cloud.as('demo').ok('DescribeInstances'), 'instanceId')).to.deep.equal([]);
    expect(textsOf(await cloud.as('admin').ok('DescribeInstances'), 'instanceId')).to.have.length(1);
  });

  it('says why it starts none', async () => {
    expect(await outcome('nowhere')).to.equal('400 ProjectNotFound');
    await cloud.as('other').ok('RunInstances', { ImageId: cloud.image, InstanceType: 'm1.tiny' });
    expect(await outcome('other')).to.equal('400 InstanceLimitExceeded');
    expect((await admin.call('StartVpn')).code).to.equal('MissingParameter');
    expect(
      (await cloud.as('demo').at({ endpoint: '/services/Admin' }).call('StartVpn', { Project: 'demo' })).status,
    ).to.equal(401);
    expect(await vpnOf('other')).to.contain('<state>pending</state>');
  });
});

import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { createProject } from '../../../common/db/projects.js';
import { createUser } from '../../../common/db/users.js';
import type { DoorResponse } from '../../../common/http/door.js';
import { adminActions } from '../../../nova-api/ec2/admin.js';
import { Ec2Door } from '../../../nova-api/ec2/server.js';
import { rulesCloud, type RulesCloud } from '../../support/cloudRules.js';
import { doorRequest } from '../../support/ec2.js';
import { recordings } from '../../support/recordings.js';
import { xmlLeaves } from '../../support/xmlLeaves.js';

interface Recording {
  exchanges: {
    request: { method: string; target: string; headers: [string, string][]; body: string };
    response: { status: number; body: string };
  }[];
}

const folder = new URL('http/ec2/admin/', recordings);
const recording = (name: string): Recording =>
  JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8')) as Recording;

/** The recorded requests, in an order in which each finds what it needs. */
const life = [
  ...[
    'DescribeProjects.user',
    'DescribeUsers',
    'DescribeUsers.no-slash',
    'DescribeUsers.version',
    'DescribeUser',
    'DescribeUser.err',
  ],
  ...['DescribeUser.none', 'RegisterUser', 'RegisterUser.err-exists', 'RegisterUser.none', 'DescribeUser.new'],
  ...['DescribeRoles', 'ModifyUserRole.add', 'ModifyUserRole.err-role', 'ModifyUserRole.err-user'],
  ...['ModifyUserRole.err-operation', 'DescribeUserRoles', 'DescribeUserRoles.err', 'DescribeUserRoles.project'],
  ...['ModifyUserRole.remove-again', 'RegisterProject', 'RegisterProject.err-exists', 'RegisterProject.err-user'],
  ...['RegisterProject.none', 'ModifyProject', 'ModifyProject.err', 'DescribeProject.modified'],
  ...['DescribeProjects.err-user', 'DescribeProjectMembers', 'DescribeProjectMembers.err'],
  ...['ModifyProjectMember.add', 'ModifyProjectMember.add-again', 'ModifyProjectMember.remove'],
  ...['ModifyProjectMember.err-operation', 'ModifyProjectMember.err-user', 'GenerateX509ForUser'],
  ...['GenerateX509ForUser.no-project', 'GenerateX509ForUser.err-user', 'GenerateX509ForUser.err-project'],
  ...['DescribeInstanceTypes', 'DescribeHosts', 'BlockExternalAddresses', 'BlockExternalAddresses.host'],
  ...['BlockExternalAddresses.err', 'BlockExternalAddresses.none', 'DescribeExternalAddressBlocks'],
  ...['RemoveExternalAddressBlock', 'RemoveExternalAddressBlock.again', 'RemoveExternalAddressBlock.err'],
  ...['DescribeExternalAddressBlocks.after', 'DescribeVpns', 'StartVpn.err', 'DeregisterProject', 'DeregisterUser'],
  ...['DeregisterUser.err', 'demo-refused', 'unknown-action'],
];

const code = (name: string, text: string): readonly string[] => [
  `Response/Errors/Error/Code: ${name}`,
  `Response/Errors/Error/Message: ${text}`,
  'Response/RequestID: <varies>',
];
const missing = (name: string): readonly string[] =>
  code('MissingParameter', `The request must contain the parameter ${name}`);

/** Where ours differs on purpose: the status, when it does, and the leaves of the answer. */
const deviations: Readonly<Record<string, { why: string; status?: number; leaves: readonly string[] }>> = {
  'DescribeUser.none': { why: 'a missing parameter is named', leaves: missing('Name') },
  'RegisterUser.none': { why: 'a missing parameter is named', leaves: missing('Name') },
  'RegisterProject.none': { why: 'a missing parameter is named', leaves: missing('Name') },
  'BlockExternalAddresses.none': { why: 'a missing parameter is named', leaves: missing('Cidr') },
  'RegisterUser.err-exists': {
    why: 'what is wrong is said',
    leaves: code('UserExists', 'User newuser already exists.'),
  },
  'RegisterProject.err-exists': {
    why: 'what is wrong is said',
    leaves: code('ProjectExists', 'Project newproj already exists.'),
  },
  'BlockExternalAddresses.err': { why: 'what is wrong is said', leaves: code('InvalidCidr', 'Invalid cidr garbage.') },
  'RemoveExternalAddressBlock.err': {
    why: 'what is wrong is said',
    leaves: code('InvalidCidr', 'Invalid cidr garbage.'),
  },
  RegisterProject: {
    why: 'the description is kept, not replaced by the name',
    leaves: [
      'RegisterProjectResponse/description: a project',
      'RegisterProjectResponse/projectManagerId: newuser',
      'RegisterProjectResponse/projectname: newproj',
      'RegisterProjectResponse/requestId: <varies>',
    ],
  },
  DescribeVpns: {
    why: '2011.3 fails as soon as there is an instance',
    status: 200,
    leaves: [
      ...['demo', 'newproj', 'proj'].map((id) => `DescribeVpnsResponse/items/item/projectId: ${id}`),
      ...Array<string>(3).fill('DescribeVpnsResponse/items/item/publicIp: '),
      ...Array<string>(3).fill('DescribeVpnsResponse/items/item/publicPort: '),
      ...Array<string>(3).fill('DescribeVpnsResponse/items/item/state: pending'),
      'DescribeVpnsResponse/requestId: <varies>',
    ],
  },
  'demo-refused': {
    why: 'a refusal is XML, as every other answer',
    leaves: code(
      'UnauthorizedOperation',
      'You are not authorized to perform this operation; it needs an administrator.',
    ),
  },
  'unknown-action': {
    why: 'an unknown action is named',
    leaves: code('InvalidAction', 'The action Bogus is not valid for this web service.'),
  },
};

/** The leaves of an answer as comparable lines; what differs from run to run is masked. */
function lines(body: string): string[] {
  const varies = /\/(requestId|RequestID|file)$/;
  const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
  return xmlLeaves(body)
    .map(({ path, text }) => {
      const masked = (varies.test(path) && text !== '') || uuid.test(text) ? '<varies>' : text;
      return `${path}: ${masked}`;
    })
    .sort();
}

describe('EC2 Admin endpoint as recorded', () => {
  let rules: RulesCloud;
  let ec2: Ec2Door;

  const replay = (name: string): Promise<DoorResponse> => {
    const { request } = recording(name).exchanges[0]!;
    const headers = Object.fromEntries(request.headers.map(([key, value]) => [key.toLowerCase(), value]));
    // The signatures were made with these users' secrets, and so hold.
    return ec2.handle(
      doorRequest({ method: request.method, url: request.target, headers, body: Buffer.from(request.body) }),
    );
  };

  before(async () => {
    rules = await rulesCloud();
    const { cloud, db } = rules;
    await createUser(db, { id: 'admin', accessKey: 'akey', secretKey: 'skey', isAdmin: true });
    await createUser(db, { id: 'demo', accessKey: 'dkey', secretKey: 'dsecret', isAdmin: false });
    await createProject(db, 'proj', 'admin');
    await createProject(db, 'demo', 'demo');
    for (const topic of ['volume', 'network', 'scheduler', 'compute']) {
      const row = {
        host: 'cloud1',
        report_count: 1,
        topic,
        binary: `nova-${topic}`,
        disabled: false,
        availability_zone: 'nova',
      };
      await db.insert('services', { ...row, updated_at: db.now() });
    }
    for (let count = 0; count < 3; count++) await db.insert('instances', { host: 'cloud1', project_id: 'proj' });
    await db.insert('volumes', { host: 'cloud1', project_id: 'proj' });
    await cloud.authority.ensureRoot();
    const auth = { cloud: 'keys', admin: 'keys', saidBy: 'test', warnings: [] } as const;
    ec2 = new Ec2Door({
      runtime: cloud.parts.runtime,
      db,
      cloud,
      actions: new Map(),
      adminActions: adminActions(),
      auth,
    });
  });
  after(() => rules.close());

  for (const name of life) {
    const deviation = deviations[name];
    it(deviation === undefined ? name : `${name}, differently: ${deviation.why}`, async () => {
      const recorded = recording(name).exchanges[0]!.response;
      const response = await replay(name);
      expect(response.status, String(response.body)).to.equal(deviation?.status ?? recorded.status);
      expect(response.headers['content-type']).to.equal('text/xml');
      expect(lines(String(response.body))).to.deep.equal(deviation?.leaves ?? lines(recorded.body));
    });
  }

  it('knows every recording', () => {
    const files = readdirSync(folder).map((file) => file.replace(/\.json$/, ''));
    expect([...life].sort()).to.deep.equal(files.sort());
  });

  it('told every compute host of each change of the provider rules', () => {
    const told = rules.published.filter((message) => message.method === 'refresh_provider_fw_rules');
    expect(told.map((message) => message.routingKey)).to.deep.equal(Array(3).fill('compute.cloud1'));
    expect(told[0]).to.deep.include({ args: {}, isCall: false });
  });

  it('wrote the rows which 2011.3 writes', async () => {
    const rows = await rules.db.all(
      'SELECT id, deleted, protocol, from_port, to_port, cidr FROM provider_fw_rules ORDER BY id LIMIT 3',
    );
    const common = { deleted: true, cidr: '192.0.2.0/24' };
    expect(rows).to.deep.equal([
      { id: 1, protocol: 'tcp', from_port: 1, to_port: 65535, ...common },
      { id: 2, protocol: 'udp', from_port: 1, to_port: 65535, ...common },
      { id: 3, protocol: 'icmp', from_port: -1, to_port: null, ...common },
    ]);
    const certificates = await rules.db.all<{ file_name: string }>('SELECT * FROM certificates ORDER BY id');
    expect(certificates.map((row) => row.file_name.split('/').slice(-3).join('/'))).to.deep.equal([
      'CA/newcerts/10.pem',
      'CA/newcerts/11.pem',
    ]);
  });
});

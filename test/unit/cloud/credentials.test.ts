import { expect } from 'chai';
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { Credentials } from '../../../common/cloud/credentials.js';
import { createProject } from '../../../common/db/projects.js';
import { createUser } from '../../../common/db/users.js';
import { rulesCloud, type RulesCloud } from '../../support/cloudRules.js';

interface Entry {
  name: string;
  method: number;
  mode: number;
  text: string;
}

/** The entries of an archive by its directory, in order; their sums are checked. */
function entriesOf(zip: Buffer): Entry[] {
  const end = zip.length - 22;
  expect(zip.readUInt32LE(end)).to.equal(0x06054b50);
  const entries: Entry[] = [];
  let at = zip.readUInt32LE(end + 16);
  for (let count = zip.readUInt16LE(end + 8); count > 0; count--) {
    expect(zip.readUInt32LE(at)).to.equal(0x02014b50);
    const [method, sum, size] = [zip.readUInt16LE(at + 10), zip.readUInt32LE(at + 16), zip.readUInt32LE(at + 24)];
    const nameLength = zip.readUInt16LE(at + 28);
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength);
    const file = zip.readUInt32LE(at + 42);
    expect(zip.readUInt32LE(file)).to.equal(0x04034b50);
    expect(zip.toString('utf8', file + 30, file + 30 + nameLength)).to.equal(name);
    const data = zip.subarray(file + 30 + nameLength, file + 30 + nameLength + size);
    expect(crc32(data)).to.equal(sum);
    entries.push({ name, method, mode: (zip.readUInt32LE(at + 38) >>> 16) & 0o777, text: data.toString() });
    at += 46 + nameLength;
  }
  expect(at).to.equal(end);
  return entries;
}

describe('Credentials', () => {
  let rules: RulesCloud;
  const open = async (flags: Parameters<typeof rulesCloud>[0] = {}): Promise<RulesCloud['cloud']['credentials']> => {
    rules = await rulesCloud(flags);
    await createUser(rules.db, { id: 'demo', accessKey: 'dkey', secretKey: 'd"secret', isAdmin: false });
    await createProject(rules.db, 'demo', 'demo');
    await rules.cloud.authority.ensureRoot();
    return rules.cloud.credentials;
  };
  afterEach(() => rules.close());

  it('are a stored archive of rc file, key, certificate and authority, in this order', async () => {
    const credentials = await open({ flags: { ec2_host: 'api.example.org' } });
    const entries = entriesOf(await credentials.zip('demo', 'demo'));
    expect(entries.map(({ name, method }) => [name, method])).to.deep.equal(
      ['novarc', 'pk.pem', 'cert.pem', 'cacert.pem'].map((name) => [name, 0]),
    );
    const [rc, key, certificate, authority] = entries.map((entry) => entry.text);
    expect(rc).to.contain('EC2_ACCESS_KEY="dkey:demo"').and.to.contain('EC2_SECRET_KEY="d\\"secret"');
    expect(rc).to.contain('EC2_URL="http://api.example.org:8773/services/Cloud"');
    const secrets = entries.filter(({ text }) => /PRIVATE KEY|SECRET_KEY=/.test(text));
    expect(secrets.map(({ name, mode }) => [name, mode])).to.deep.equal([
      ['novarc', 0o600],
      ['pk.pem', 0o600],
    ]);
    const issued = new X509Certificate(certificate!.slice(certificate!.indexOf('-----BEGIN')));
    expect(issued.publicKey.equals(createPublicKey(createPrivateKey(key!)))).to.equal(true);
    expect(issued.verify(new X509Certificate(authority!).publicKey)).to.equal(true);
    const rows = await rules.db.all('SELECT user_id, project_id FROM certificates');
    expect(rows).to.deep.equal([{ user_id: 'demo', project_id: 'demo' }]);
  });

  it('have an rc file for each region, the way into the VPN, and the chain of a project with its own authority', async () => {
    const flags = { region_list: ['east=e.example.org', 'west=w.example.org'], use_project_ca: true };
    const credentials = await open({ flags });
    const vpn = { vpn_public_address: '192.0.2.9', vpn_public_port: 1000 };
    await rules.db.insert('networks', { project_id: 'demo', injected: false, multi_host: false, ...vpn });
    const entries = entriesOf(await credentials.zip('demo', 'demo'));
    expect(entries.map(({ name, mode }) => [name, mode])).to.deep.equal([
      ['eastrc', 0o600],
      ['westrc', 0o600],
      ['pk.pem', 0o600],
      ['cert.pem', 0o644],
      ['nova-vpn.conf', 0o644],
      ['cacert.pem', 0o644],
    ]);
    expect(entries[1]!.text).to.contain('NOVA_URL="http://w.example.org:8774/v1.1/"');
    expect(entries[4]!.text)
      .to.match(/^remote 192\.0\.2\.9 1000$/m)
      .and.to.match(/^key pk\.pem$/m);
    expect(entries[5]!.text.match(/BEGIN CERTIFICATE/g)).to.have.length(2);
  });

  it('can be written by a template, which is refused when it wants what there is not', async () => {
    const credentials = await open();
    const path = join(rules.cloud.parts.runtime.flags.state_path, 'novarc.template');
    const templated = async (text: string): Promise<string> => {
      writeFileSync(path, text);
      const { db, runtime } = rules.cloud.parts;
      const flags = { ...runtime.flags, credentials_template: path, ec2_auth: 'noauth' };
      const other = Object.create(runtime, { flags: { value: flags } }) as typeof runtime;
      return new Credentials({ db, runtime: other }, rules.cloud.authority)
        .rcFile('demo', 'demo')
        .catch((error: Error) => error.message);
    };
    expect(await templated('key=%(access)s:%(project)s 100%%\n')).to.equal('key=demo:demo 100%\n');
    expect(await templated('%(nothing)s')).to.match(/--credentials_template=.*the field nothing is none of access, /);
    expect(await credentials.rcFile('demo', 'demo')).to.contain('dkey:demo');
  });

  it('are an administrator’s to make for others, for projects which there are', async () => {
    const credentials = await open();
    const refusal = (work: Promise<unknown>): Promise<string> =>
      work.then(
        () => 'made',
        (error: Error) => error.name,
      );
    expect(await refusal(credentials.ofUser(rules.context(), 'demo', 'demo'))).to.equal('AdminRequired');
    const admin = rules.context({ isAdmin: true });
    expect(await refusal(credentials.ofUser(admin, 'demo', 'nowhere'))).to.equal('ProjectNotFound');
    expect(await refusal(credentials.ofUser(admin, 'nobody', 'demo'))).to.equal('UserNotFound');
    expect(await refusal(credentials.ofUser(admin, 'demo', 'demo'))).to.equal('made');
  });
});

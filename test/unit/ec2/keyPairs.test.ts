import { expect } from 'chai';
import type { Db } from '../../../common/db/db.js';
import { keyPairActions } from '../../../nova-api/ec2/keyPairs.js';
import type { Ec2Door } from '../../../nova-api/ec2/server.js';
import { signedV2 } from '../../support/ec2.js';
import { admin, bodyOf, demo, openTestDoor, outcome } from '../../support/ec2Door.js';
import type { MemoryLog } from '../../support/runtime.js';

describe('EC2 key pairs', () => {
  let db: Db;
  let log: MemoryLog;
  let ec2: Ec2Door;
  beforeEach(async () => {
    ({ ec2, db, log } = await openTestDoor(keyPairActions));
  });
  afterEach(() => db.close());

  it('are made, shown, deleted, and belong to their user', async () => {
    const made = bodyOf(await ec2.handle(signedV2('CreateKeyPair', { KeyName: 'clé 1' }, demo)));
    const fingerprint = /<keyFingerprint>(([0-9a-f]{2}:){15}[0-9a-f]{2})<\/keyFingerprint>/.exec(made)?.[1];
    expect(made).to.contain('<keyName>clé 1</keyName>');
    expect(made).to.match(/<keyMaterial>-----BEGIN RSA PRIVATE KEY-----\n/);
    expect(await outcome(ec2, signedV2('CreateKeyPair', { KeyName: 'clé 1' }, demo))).to.equal('400 KeyPairExists');
    expect(await outcome(ec2, signedV2('CreateKeyPair', { KeyName: '123' }, demo))).to.equal('200 none');
    expect(await outcome(ec2, signedV2('CreateKeyPair', { KeyName: 'hidden-vpn' }, demo))).to.equal('200 none');
    const listed = bodyOf(await ec2.handle(signedV2('DescribeKeyPairs', {}, demo)));
    expect([...listed.matchAll(/<keyName>(.*?)<\/keyName>/g)].map((match) => match[1])).to.deep.equal(['123', 'clé 1']);
    expect(listed).to.contain(`<keyFingerprint>${fingerprint}</keyFingerprint>`);
    const named = bodyOf(
      await ec2.handle(signedV2('DescribeKeyPairs', { 'KeyName.1': '123', 'KeyName.2': 'none' }, demo)),
    );
    expect(named.match(/<item>/g)).to.have.length(1);
    const filtered = { 'Filter.1.Name': 'key-name', 'Filter.1.Value.1': 'cl*' };
    expect(bodyOf(await ec2.handle(signedV2('DescribeKeyPairs', filtered, demo))).match(/<item>/g)).to.have.length(1);
    expect(bodyOf(await ec2.handle(signedV2('DescribeKeyPairs', {}, admin)))).to.contain('<keySet/>');
    expect(await outcome(ec2, signedV2('DeleteKeyPair', { KeyName: 'clé 1' }, admin))).to.equal('200 none');
    expect(bodyOf(await ec2.handle(signedV2('DescribeKeyPairs', {}, demo)))).to.contain('clé 1');
    expect(bodyOf(await ec2.handle(signedV2('DeleteKeyPair', { KeyName: 'clé 1' }, demo)))).to.contain(
      '<return>true</return>',
    );
    expect(await outcome(ec2, signedV2('DeleteKeyPair', { KeyName: 'clé 1' }, demo))).to.equal('200 none');
    expect(bodyOf(await ec2.handle(signedV2('DescribeKeyPairs', {}, demo)))).not.to.contain('clé 1');
    expect(log.lines.join('\n')).not.to.contain('PRIVATE KEY');
  });

  it('of one name: of ten racing callers one makes it', async () => {
    const made = await Promise.all(
      Array.from({ length: 10 }, () => outcome(ec2, signedV2('CreateKeyPair', { KeyName: 'race' }, demo))),
    );
    expect(made.sort()).to.deep.equal(['200 none', ...Array.from({ length: 9 }, () => '400 KeyPairExists')]);
  });

  it('are no more than the quota of a user, whoever races', async () => {
    await db.close();
    ({ ec2, db, log } = await openTestDoor(keyPairActions, { flags: { quota_key_pairs: 2 } }));
    const make = (name: string, caller = demo): Promise<string> =>
      outcome(ec2, signedV2('CreateKeyPair', { KeyName: name }, caller));
    const made = await Promise.all(['a', 'b', 'c'].map((name) => make(name)));
    expect(made.sort()).to.deep.equal(['200 none', '200 none', '400 QuotaError']);
    expect(await make('a', admin)).to.equal('200 none');
    await outcome(ec2, signedV2('DeleteKeyPair', { KeyName: 'a' }, demo));
    await outcome(ec2, signedV2('DeleteKeyPair', { KeyName: 'b' }, demo));
    expect(await make('d')).to.equal('200 none');
  });

  it('are imported from base64 or plain text, and only if they are keys', async () => {
    // ssh-keygen -l -E md5 prints this fingerprint for this key.
    const line =
      'ssh-rsa ' +
      'AAAAB3NzaC1yc2EAAAADAQABAAAAgQDNhOJ/2V0C77saOvBv7iOuBt8f8QsDfs+T79gyqqB6INFnUXHuI8nGka9FmlojsEYuX/zIVv/+YzP+vFgkBqwI2acJ/41UG1t8hiUtKloqmXYG88JQGk/rz6155kEUIKwnYr29mgD21A4WWiY3BeXz8mrTYpn/LkQ/NmSN+h89YQ== demo@cloud1';
    const fingerprint = 'a8:56:8d:98:5f:25:ee:fb:65:de:03:23:d7:dc:a0:e0';
    const base64 = Buffer.from(`${line}\n`).toString('base64');
    const imported = await ec2.handle(signedV2('ImportKeyPair', { KeyName: 'imp', PublicKeyMaterial: base64 }, demo));
    expect(bodyOf(imported)).to.contain(`<keyName>imp</keyName><keyFingerprint>${fingerprint}</keyFingerprint>`);
    const again = signedV2('ImportKeyPair', { KeyName: 'imp', PublicKeyMaterial: base64 }, demo);
    expect(await outcome(ec2, again)).to.equal('400 KeyPairExists');
    expect(
      bodyOf(await ec2.handle(signedV2('ImportPublicKey', { KeyName: 'imp2', PublicKey: line }, demo))),
    ).to.contain('<return>true</return>');
    const rows = await db.all<{ public_key: string }>('SELECT public_key FROM key_pairs ORDER BY name');
    expect(rows.map((row) => row.public_key)).to.deep.equal([line, line]);
    const refused: [string, string][] = [
      [Buffer.from('garbage').toString('base64'), '400 InvalidKey.Format'],
      [Buffer.from('ssh-rsa AAAA').toString('base64'), '400 InvalidKey.Format'],
      [Buffer.from(line.replace('ssh-rsa', 'ssh-dss')).toString('base64'), '400 InvalidKey.Format'],
      [Buffer.from(`${line}\nssh-rsa AAAA evil`).toString('base64'), '400 InvalidKey.Format'],
      ['!!!', '400 InvalidParameterValue'],
      ['', '400 MissingParameter'],
    ];
    for (const [material, code] of refused) {
      const request = signedV2('ImportKeyPair', { KeyName: 'bad', PublicKeyMaterial: material }, demo);
      expect(await outcome(ec2, request), material).to.equal(code);
    }
    expect(await outcome(ec2, signedV2('CreateKeyPair', { KeyName: 'n'.repeat(256) }, demo))).to.equal(
      '400 InvalidParameterValue',
    );
    expect(await outcome(ec2, signedV2('CreateKeyPair', { KeyName: '' }, demo))).to.equal('400 MissingParameter');
  });
});

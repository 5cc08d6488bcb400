import { expect } from 'chai';
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CertificateAuthority, fileNameOf } from '../../../common/crypto/ca.js';
import { subjectOf } from '../../../common/crypto/opensslConfig.js';
import { testRuntime } from '../../support/runtime.js';

/** An authority in a folder of its own. */
function authority(flags: Parameters<typeof testRuntime>[0] = {}): {
  ca: CertificateAuthority;
  folder: string;
  openssl(...words: string[]): Promise<{ stdout: string; stderr: string; code: number }>;
} {
  const { runtime, statePath } = testRuntime(flags);
  const openssl = (...words: string[]): Promise<{ stdout: string; stderr: string; code: number }> =>
    runtime.exec(['openssl', ...words], { okCodes: [0, 1, 2] });
  return { ca: new CertificateAuthority(runtime), folder: join(statePath, 'CA'), openssl };
}

const pemOf = (text: string): string => text.slice(text.indexOf('-----BEGIN'));

describe('Certificate authority', () => {
  it('is made in the layout of 2011.3, once, with keys for their owner alone', async () => {
    const { ca, folder, openssl } = authority();
    await Promise.all([ca.ensureRoot(), ca.ensureRoot()]);
    const files = readdirSync(folder).filter((name) => name !== 'ca.lock');
    expect(files.sort()).to.include.members(
      [
        'cacert.pem',
        'certs',
        'crl',
        'crl.pem',
        'index.txt',
        'newcerts',
        'openssl.cnf',
        'private',
        'projects',
        'serial',
      ].sort(),
    );
    expect(readFileSync(join(folder, 'serial'), 'utf8')).to.equal('10\n');
    expect(statSync(join(folder, 'private', 'cakey.pem')).mode & 0o777).to.equal(0o600);
    const root = new X509Certificate(readFileSync(join(folder, 'cacert.pem')));
    expect(root.subject).to.equal('C=US\nST=California\nL=Mountain View\nO=NOVA ROOT');
    expect(root.ca).to.equal(true);
    expect(root.publicKey.asymmetricKeyDetails?.modulusLength).to.equal(2048);
    expect((await openssl('x509', '-in', join(folder, 'cacert.pem'), '-noout', '-text')).stdout).to.contain(
      'sha256WithRSAEncryption',
    );
    const before = readFileSync(join(folder, 'cacert.pem'), 'utf8');
    await ca.ensureRoot();
    expect(readFileSync(join(folder, 'cacert.pem'), 'utf8')).to.equal(before);
  });

  it('signs keys of users which verify against its chain, one serial after the other', async () => {
    for (const own of [false, true]) {
      const { ca, folder, openssl } = authority({ use_project_ca: own });
      await ca.ensureRoot();
      const [first, second] = await Promise.all([ca.issueForUser('admin', 'proj'), ca.issueForUser('demo', 'proj')]);
      expect(first.certificate.startsWith('Certificate:')).to.equal(true);
      expect(first.privateKey).to.match(/^-----BEGIN RSA PRIVATE KEY-----/);
      const certificate = new X509Certificate(pemOf(first.certificate));
      expect(certificate.subject).to.match(/CN=proj-admin-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      const ours = createPublicKey(createPrivateKey(first.privateKey));
      expect(certificate.publicKey.equals(ours)).to.equal(true);
      const issuer = own ? join(folder, 'projects', 'proj') : folder;
      expect([first.fileName, second.fileName].sort()).to.deep.equal(
        ['10', '11'].map((serial) => join(issuer, 'newcerts', `${serial}.pem`)),
      );
      const chain = join(folder, 'chain.pem');
      writeFileSync(chain, await ca.chain('proj'));
      expect((await openssl('verify', '-CAfile', chain, first.fileName)).stdout).to.contain('OK');
      expect(readdirSync(folder).filter((name) => name.startsWith('request-'))).to.deep.equal([]);
      expect((await ca.chain('proj')).match(/BEGIN CERTIFICATE/g)).to.have.length(own ? 2 : 1);
    }
  });

  it('revokes: what is revoked is in the list, and a second time is no error', async () => {
    const { ca, folder, openssl } = authority();
    await ca.ensureRoot();
    const [bad, good] = [await ca.issueForUser('bad', 'proj'), await ca.issueForUser('good', 'proj')];
    const certificate = { fileName: bad.fileName, projectId: 'proj' };
    const gone = { fileName: join(folder, 'newcerts', 'FF.pem'), projectId: 'proj' };
    expect(await ca.revoke([certificate, gone])).to.equal(1);
    expect(await ca.revoke([certificate])).to.equal(1);
    const check = async (fileName: string): Promise<string> => {
      const words = ['-crl_check', '-CAfile', join(folder, 'cacert.pem'), '-CRLfile', join(folder, 'crl.pem')];
      const { stdout, stderr } = await openssl('verify', ...words, fileName);
      return stdout + stderr;
    };
    expect(await check(bad.fileName)).to.contain('certificate revoked');
    expect(await check(good.fileName)).to.contain('OK');
  });

  it('goes on where a process was killed', async () => {
    const { ca, folder } = authority();
    await ca.ensureRoot();
    const first = await ca.issueForUser('a', 'proj');
    // Between openssl's two renames of a file, and in the middle of a step.
    rmSync(join(folder, 'serial'));
    rmSync(join(folder, 'crl.pem'));
    const left = join(folder, 'request-left');
    rmSync(left, { force: true, recursive: true });
    writeFileSync(left, 'a key');
    writeFileSync(join(folder, 'serial.new'), '11\n');
    const second = await ca.issueForUser('a', 'proj');
    expect([first.fileName, second.fileName].map((name) => name.slice(-6))).to.deep.equal(['10.pem', '11.pem']);
    expect(readdirSync(folder)).not.to.include('request-left');
    expect(await ca.revocationList(null)).to.contain('BEGIN X509 CRL');
  });

  it('says where it is missing, and what openssl says', async () => {
    const { ca, folder } = authority();
    const reason = await ca.issueForUser('a', 'b').catch((error: Error) => error.message);
    expect(reason).to.equal(`There is no certificate authority in ${folder}; a nova-api makes it when it starts`);
    await ca.ensureRoot();
    writeFileSync(join(folder, 'private', 'cakey.pem'), 'no key');
    expect(await ca.issueForUser('a', 'b').catch((error: Error) => error.message)).to.match(/^openssl ca failed: /);
  });

  it('keeps the server key of a project, and no project out of its folder', async () => {
    const { ca, folder } = authority();
    await ca.ensureRoot();
    const server = await ca.vpnServer('../../etc');
    expect(await ca.vpnServer('../../etc')).to.deep.equal(server);
    expect(readdirSync(join(folder, 'projects'))).to.deep.equal(['..%2F..%2Fetc']);
    expect(statSync(join(folder, 'projects', '..%2F..%2Fetc', 'server.key')).mode & 0o777).to.equal(0o600);
    for (const name of ['.', '..', '', 'a/b', '\0', 'ü'.repeat(255)]) {
      expect(fileNameOf(name), name).to.match(/^[\w.%-]{1,200}$/);
      expect(fileNameOf(name)).not.to.match(/^\.+$/);
    }
  });

  it('makes subjects which openssl takes apart as they were meant', () => {
    expect(subjectOf('/C=US/CN=%s-%s', ['a/b', 'c=d+e'])).to.equal('/C=US/CN=a\\/b-c\\=d\\+e');
    const long = subjectOf('/C=US/CN=%s-%s-%s', ['p'.repeat(200), 'user', 'now']);
    expect(long).to.equal(`/C=US/CN=${'p'.repeat(55)}-user-now`);
  });
});

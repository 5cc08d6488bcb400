import { createHash, X509Certificate } from 'node:crypto';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { ApiError, errorText, NovaError } from '../errors.js';
import type { Runtime } from '../runtime/runtime.js';
import { isoTimeOf } from '../time.js';
import { extensionsOf, opensslConfig, subjectOf, type AuthorityLayout, type CertificateUse } from './opensslConfig.js';

/** A key which was made, and the certificate over it. */
export interface IssuedCertificate {
  /** PKCS#1 PEM without passphrase; kept nowhere but by the caller. */
  readonly privateKey: string;
  /** Its description as `openssl ca` prints it, followed by the PEM. */
  readonly certificate: string;
  /** Absolute path of the authority's copy, `…/newcerts/SERIAL.pem`. */
  readonly fileName: string;
}

/** How the folders below ca_path begin in which a step keeps its files. */
const workPrefix = 'request-';
/** Bits of new keys (2011.3 made 1024, which today's tools refuse). */
const keyBits = 2048;
/** The whole authority of nova lives in one file tree: how often and long to wait for another process which works in it. */
const lockTries = 600;
const lockWaitMs = 100;

/**
 * The certificate authority below the flag ca_path (nova 2011.3, nova/crypto.py and nova/CA): a root, and with the flag
 * use_project_ca one for each project. Layout and file names are 2011.3's, so that an authority which it made is used as
 * it is, and `openssl ca` can be used by hand; new keys have 2048 bits and new signatures SHA-256. The work is done by
 * the `openssl` program, one step at a time, also when several processes of the host ask for it.
 */
export class CertificateAuthority {
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly runtime: Pick<
      Runtime,
      'clock' | 'exec' | 'files' | 'flags' | 'log' | 'outside' | 'random' | 'sleep'
    >,
  ) {}

  /**
   * Makes the root when there is none; what exists is left alone. A nova-api does so when it starts. Throws NovaError
   * when openssl is missing or ca_path can't be written.
   */
  async ensureRoot(): Promise<void> {
    if (await this.hasRoot()) return;
    // Asked before anything is written: where there is no openssl, no empty tree is left behind.
    await this.#openssl(['version']);
    await this.#locked(() => this.#make(null));
  }

  /** Whether the root certificate exists. */
  hasRoot(): Promise<boolean> {
    return this.runtime.files.exists(this.#path(null, this.runtime.flags.ca_file));
  }

  /**
   * The certificates which those of a project are checked against, PEM: its own (flag use_project_ca), then the root's.
   * Throws ApiError while there is no root.
   */
  async chain(projectId: string | null): Promise<string> {
    await this.#requireRoot();
    const { ca_file: caFile } = this.runtime.flags;
    const own = this.#hasOwn(projectId);
    if (own) await this.#ensureProject(projectId);
    const read = (project: string | null): Promise<string> => this.runtime.files.read(this.#path(project, caFile));
    return own ? (await read(projectId)) + (await read(null)) : read(null);
  }

  /** The list of the project's (or the root's) revoked certificates, PEM. Throws ApiError while there is no root. */
  async revocationList(projectId: string | null): Promise<string> {
    await this.#requireRoot();
    if (this.#hasOwn(projectId)) await this.#ensureProject(projectId);
    const path = this.#path(projectId, this.runtime.flags.crl_file);
    if (!(await this.runtime.files.exists(path))) await this.#locked(() => this.#writeRevocationList(projectId));
    return this.runtime.files.read(path);
  }

  /** Path of the private key to which bundles for a project are encrypted (RSA PKCS#1 v1.5, see euca-bundle-image). */
  privateKeyPath(projectId: string | null): string {
    return this.#path(projectId, this.runtime.flags.key_file);
  }

  /** A fresh key of a user, signed for a project. Throws ApiError while there is no root. */
  issueForUser(userId: string, projectId: string): Promise<IssuedCertificate> {
    const { flags, clock } = this.runtime;
    return this.#issue(
      projectId,
      'client',
      subjectOf(flags.user_cert_subject, [projectId, userId, isoTimeOf(clock.now())]),
    );
  }

  /**
   * Key and certificate of a project's VPN server, made at the first call and kept in `projects/<project>`. Throws
   * ApiError while there is no root.
   */
  async vpnServer(projectId: string): Promise<{ key: string; certificate: string }> {
    const { files, flags, clock } = this.runtime;
    const folder = this.#projectFolder(projectId);
    const [keyPath, certificatePath] = [join(folder, 'server.key'), join(folder, 'server.crt')];
    if (!(await files.exists(certificatePath))) {
      const subject = subjectOf(flags.vpn_cert_subject, [projectId, isoTimeOf(clock.now())]);
      const issued = await this.#issue(projectId, 'server', subject);
      await this.#locked(async () => {
        if (await files.exists(certificatePath)) return;
        await files.makeFolder(folder);
        await files.writeAtomic(keyPath, issued.privateKey, 0o600);
        await files.writeAtomic(certificatePath, issued.certificate);
      });
    }
    return { key: await files.read(keyPath), certificate: await files.read(certificatePath) };
  }

  /**
   * Revokes certificates by their file names and writes the lists of revoked ones anew. One which is revoked already
   * stays so, and one whose file has gone is left out. Answers how many are revoked now.
   */
  async revoke(certificates: readonly { fileName: string; projectId: string | null }[]): Promise<number> {
    await this.#requireRoot();
    const { files } = this.runtime;
    return this.#locked(async () => {
      let revoked = 0;
      const touched = new Map<string, string | null>();
      for (const { fileName, projectId } of certificates) {
        const folder = this.#folder(projectId);
        touched.set(folder, projectId);
        const path = isAbsolute(fileName) ? fileName : resolve(folder, fileName);
        if (!(await files.exists(path))) continue;
        await this.#withConfig(projectId, (config) =>
          this.#openssl(['ca', '-batch', '-config', config, '-revoke', path], { tolerated: /Already revoked/ }),
        );
        revoked++;
      }
      for (const projectId of touched.values()) await this.#writeRevocationList(projectId);
      return revoked;
    });
  }

  async #requireRoot(): Promise<void> {
    if (await this.hasRoot()) return;
    throw new ApiError(
      `There is no certificate authority in ${this.runtime.flags.ca_path}; a nova-api makes it when it starts`,
    );
  }

  #hasOwn(projectId: string | null): projectId is string {
    return this.runtime.flags.use_project_ca && projectId !== null;
  }

  async #ensureProject(projectId: string): Promise<void> {
    if (await this.runtime.files.exists(this.#path(projectId, this.runtime.flags.ca_file))) return;
    await this.#locked(() => this.#make(projectId));
  }

  /** The folder of the authority which signs for a project. */
  #folder(projectId: string | null): string {
    return this.#hasOwn(projectId) ? this.#projectFolder(projectId) : resolve(this.runtime.flags.ca_path);
  }

  #path(projectId: string | null, file: string): string {
    return join(this.#folder(projectId), file);
  }

  #projectFolder(projectId: string): string {
    return join(resolve(this.runtime.flags.ca_path), 'projects', fileNameOf(projectId));
  }

  #layout(projectId: string | null): AuthorityLayout {
    const { flags } = this.runtime;
    return {
      folder: this.#folder(projectId),
      caFile: flags.ca_file,
      keyFile: flags.key_file,
      crlFile: flags.crl_file,
      organization: this.#hasOwn(projectId) ? `NOVA ${projectId.replace(/\p{Cc}/gu, '?').slice(0, 59)}` : 'NOVA ROOT',
      caDays: flags.ca_days,
      certificateDays: flags.certificate_days,
    };
  }

  /** Makes an authority: its certificate last, so that one which was made halfway is carried on. */
  async #make(projectId: string | null): Promise<void> {
    const { files, flags, random, log } = this.runtime;
    const folder = this.#folder(projectId);
    if (await files.exists(join(folder, flags.ca_file))) return;
    for (const name of [
      'newcerts',
      'certs',
      'crl',
      dirname(flags.key_file),
      ...(projectId === null ? ['projects'] : []),
    ]) {
      await files.makeFolder(join(folder, name));
    }
    await files.createExclusive(
      join(folder, 'openssl.cnf'),
      opensslConfig({ ...this.#layout(projectId), folder: '.' }),
    );
    await files.createExclusive(join(folder, 'index.txt'), '');
    await files.createExclusive(join(folder, 'serial'), '10\n');
    const keyPath = join(folder, flags.key_file);
    if (!(await files.exists(keyPath))) {
      await files.writeAtomic(keyPath, (await random.rsaKeyPair(keyBits)).privateKey, 0o600);
    }
    const certificate = await this.#withConfig(projectId, (config) => {
      const days = String(flags.ca_days);
      const words = ['req', '-new', '-x509', '-sha256', '-utf8', '-config', config, '-key', keyPath, '-days', days];
      const name = this.#hasOwn(projectId)
        ? ['-subj', subjectOf(flags.project_cert_subject, [projectId, isoTimeOf(this.runtime.clock.now())])]
        : [];
      return this.#openssl([...words, ...name]);
    });
    await files.writeAtomic(join(folder, flags.ca_file), certificate);
    await this.#writeRevocationList(projectId);
    log.logger('nova.crypto').audit(`Made the certificate authority ${folder}`);
  }

  async #writeRevocationList(projectId: string | null): Promise<void> {
    const list = await this.#withConfig(projectId, (config) =>
      this.#openssl(['ca', '-batch', '-config', config, '-gencrl']),
    );
    await this.runtime.files.writeAtomic(this.#path(projectId, this.runtime.flags.crl_file), list);
  }

  async #issue(projectId: string, use: CertificateUse, subject: string): Promise<IssuedCertificate> {
    await this.#requireRoot();
    if (this.#hasOwn(projectId)) await this.#ensureProject(projectId);
    const { files, random } = this.runtime;
    const { privateKey } = await random.rsaKeyPair(keyBits);
    const certificate = await this.#locked(() =>
      this.#withConfig(projectId, async (config) => {
        await this.#mend(projectId);
        const [request, key] = [join(dirname(config), 'request.pem'), join(dirname(config), 'key.pem')];
        await files.writeAtomic(key, privateKey, 0o600);
        const words = ['req', '-new', '-sha256', '-utf8', '-config', config, '-key', key, '-subj', subject];
        await files.writeAtomic(request, await this.#openssl(words));
        await files.remove(key);
        const sign = ['ca', '-batch', '-utf8', '-config', config, '-extensions', extensionsOf[use], '-in', request];
        return this.#openssl(sign);
      }),
    );
    const serial = new X509Certificate(certificate.slice(certificate.indexOf('-----BEGIN'))).serialNumber;
    return { privateKey, certificate, fileName: this.#path(projectId, `newcerts/${serial}.pem`) };
  }

  /** openssl replaces these files by two renames each; one which was killed between them left the new one beside. */
  async #mend(projectId: string | null): Promise<void> {
    const { files } = this.runtime;
    for (const name of ['index.txt', 'serial']) {
      const path = this.#path(projectId, name);
      for (const left of [`${path}.new`, `${path}.old`]) {
        if ((await files.exists(path)) || !(await files.exists(left))) continue;
        await files.writeAtomic(path, await files.read(left));
      }
    }
  }

  /** Lets `work` use a configuration file in a folder of its own, which is removed afterwards. */
  async #withConfig<T>(projectId: string | null, work: (config: string) => Promise<T>): Promise<T> {
    const { files, random } = this.runtime;
    const folder = join(resolve(this.runtime.flags.ca_path), `${workPrefix}${random.uuid()}`);
    await files.makeFolder(folder);
    try {
      const config = join(folder, 'openssl.cnf');
      await files.writeAtomic(config, opensslConfig(this.#layout(projectId)));
      return await work(config);
    } finally {
      await files.remove(folder);
    }
  }

  /** Standard output of an openssl command. Throws NovaError with what openssl says. */
  async #openssl(words: readonly string[], options: { tolerated?: RegExp } = {}): Promise<string> {
    const { tolerated } = options;
    const okCodes = tolerated === undefined ? [0] : [0, 1];
    const result = await this.runtime.exec(['openssl', ...words], { okCodes }).catch((error: unknown) => {
      throw new NovaError(`openssl ${words[0]} failed: ${reasonOf(error)}`);
    });
    if (result.code !== 0 && !tolerated?.test(result.stderr)) {
      throw new NovaError(`openssl ${words[0]} failed: ${lastLines(result.stderr)}`);
    }
    return result.stdout;
  }

  /** Runs `work` alone: in this process by turns, among processes by the lock of ca_path. */
  #locked<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => {
      const { runtime } = this;
      const folder = resolve(runtime.flags.ca_path);
      await runtime.files.makeFolder(folder);
      const lock = await this.#take(join(folder, 'ca.lock'));
      try {
        // Whoever has the lock is alone: what is there was left by a process which died.
        for (const name of await runtime.files.list(folder)) {
          if (name.startsWith(workPrefix)) await runtime.files.remove(join(folder, name));
        }
        return await work();
      } finally {
        await runtime.outside(() => lock.release());
      }
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #take(path: string): Promise<{ release(): Promise<void> }> {
    // Loads a native library, which daemons that sign nothing go without.
    const { lockFile } = await import('../db/fileLock.js');
    for (let tries = 0; tries < lockTries; tries++) {
      const lock = await this.runtime.outside(() => lockFile(path));
      if (lock !== null) return lock;
      await this.runtime.sleep(lockWaitMs);
    }
    throw new NovaError(`Another process keeps the certificate authority locked (${path})`);
  }
}

/**
 * A project's name as a file name: letters, digits and a few signs as they are, everything else percent-encoded; a long one
 * is cut, and told apart by its hash.
 */
export function fileNameOf(projectId: string): string {
  const encoded = encodeURIComponent(Buffer.from(projectId).toString()).replace(/[!'()*~]|^\.+$/g, (text) =>
    [...text].map((c) => `%${c.charCodeAt(0).toString(16)}`).join(''),
  );
  if (encoded.length <= 200) return encoded === '' ? '%' : encoded;
  return `${encoded.slice(0, 150)}-${createHash('sha256').update(projectId).digest('hex').slice(0, 32)}`;
}

function reasonOf(error: unknown): string {
  const { stderr } = (error as { result?: { stderr?: string } }).result ?? {};
  return stderr === undefined ? errorText(error) : lastLines(stderr);
}

const lastLines = (text: string): string => text.trim().split('\n').slice(-3).join(' ').trim();

import { renderRcFile } from '../auth/rcFile.js';
import { storedZip, type ZipEntry } from '../auth/storedZip.js';
import { fillTemplate } from '../auth/template.js';
import { renderVpnClientFile } from '../auth/vpnClientFile.js';
import type { Context } from '../context.js';
import type { CertificateAuthority } from '../crypto/ca.js';
import { certificatesOf, recordCertificate } from '../db/certificates.js';
import { networksOfProject } from '../db/networks.js';
import { projectById } from '../db/projects.js';
import { userById, type User } from '../db/users.js';
import type { CloudParts } from './parts.js';
import { requireAdmin } from './requireAdmin.js';

/** Where the endpoints of an rc file are. */
interface Endpoints {
  readonly region: string;
  readonly ec2Host: string;
  readonly s3Host: string;
  readonly osHost: string;
}

/** The mode of what holds a secret, once it is unpacked. */
const ownersAlone = 0o600;

/** What users take home: rc files, keys, certificates (nova 2011.3, nova/auth/manager.py get_credentials). */
export class Credentials {
  constructor(
    private readonly parts: Pick<CloudParts, 'runtime' | 'db'>,
    private readonly authority: CertificateAuthority,
  ) {}

  /** The rc file of a user for a project, with the endpoints which instances see. Throws UserNotFound. */
  async rcFile(userId: string, projectId: string): Promise<string> {
    const { flags } = this.parts.runtime;
    const user = await userById(this.parts.db, userId);
    const [ec2Host, s3Host] = [flags.ec2_dmz_host, flags.s3_dmz];
    return this.#render(user, projectId, { region: 'nova', ec2Host, osHost: ec2Host, s3Host });
  }

  /** Whether certificates can be had: there is an authority. */
  available(): Promise<boolean> {
    return this.authority.hasRoot();
  }

  /**
   * The credentials of a user for a project as a ZIP archive: an rc file for each region, a key which is made now and its
   * certificate, the VPN's configuration when the project's network has one, and the authority's certificate. Throws
   * UserNotFound, and ApiError while there is no authority. Whether the project exists is the caller's to know.
   */
  async zip(userId: string, projectId: string): Promise<Buffer> {
    const { db, runtime } = this.parts;
    const { flags } = runtime;
    const user = await userById(db, userId);
    const entries: ZipEntry[] = [];
    for (const endpoints of this.#regions()) {
      const name = flags.credential_rc_file.replaceAll('%s', endpoints.region);
      entries.push({ name, data: await this.#render(user, projectId, endpoints), mode: ownersAlone });
    }
    const issued = await this.authority.issueForUser(userId, projectId);
    await recordCertificate(db, { userId, projectId, fileName: issued.fileName });
    entries.push({ name: flags.credential_key_file, data: issued.privateKey, mode: ownersAlone });
    entries.push({ name: flags.credential_cert_file, data: issued.certificate });
    const vpn = await this.#vpnClient(projectId);
    if (vpn !== null) entries.push({ name: flags.credential_vpn_file, data: vpn });
    entries.push({ name: flags.ca_file, data: await this.authority.chain(projectId) });
    return storedZip(entries, runtime.clock.now());
  }

  /**
   * {@link zip} for an administrator, with the user it is of. Throws AdminRequired, UserNotFound, ProjectNotFound, and
   * ApiError while there is no authority.
   */
  async ofUser(context: Context, userId: string, projectId: string): Promise<{ user: User; zip: Buffer }> {
    requireAdmin(context);
    const user = await userById(this.parts.db, userId);
    await projectById(this.parts.db, projectId);
    return { user, zip: await this.zip(userId, projectId) };
  }

  /**
   * Revokes the certificates of a user, or those for one project. Answers how many are revoked. Throws ApiError while
   * there is no authority.
   */
  async revoke(userId: string, projectId?: string): Promise<number> {
    const rows = await certificatesOf(this.parts.db, userId, projectId);
    return this.authority.revoke(
      rows.flatMap((row) => (row.file_name === null ? [] : [{ fileName: row.file_name, projectId: row.project_id }])),
    );
  }

  /** The flag region_list; without it one region, `nova`. */
  #regions(): Endpoints[] {
    const { flags } = this.parts.runtime;
    const at = (region: string, host: string): Endpoints => ({ region, ec2Host: host, s3Host: host, osHost: host });
    if (flags.region_list.length === 0) return [at('nova', flags.ec2_host)];
    return flags.region_list.map((item) => {
      const [name, host] = item.split('=', 2);
      return at(name!.trim(), host?.trim() || flags.ec2_host);
    });
  }

  async #render(user: User, projectId: string, endpoints: Endpoints): Promise<string> {
    const { files, flags } = this.parts.runtime;
    const fields = {
      userId: user.id,
      projectId,
      accessKey: this.#access(user),
      secretKey: user.secret_key ?? '',
      ec2Url: `${flags.ec2_scheme}://${endpoints.ec2Host}:${flags.ec2_port}${flags.ec2_path}`,
      s3Url: `http://${endpoints.s3Host}:${flags.s3_port}`,
      novaUrl: `${flags.osapi_scheme}://${endpoints.osHost}:${flags.osapi_port}${flags.osapi_path}`,
      caFile: flags.ca_file,
      keyFile: flags.credential_key_file,
      certFile: flags.credential_cert_file,
      region: endpoints.region,
    };
    if (flags.credentials_template === '') return renderRcFile(fields);
    return fillTemplate(files, 'credentials_template', flags.credentials_template, {
      access: fields.accessKey,
      secret: fields.secretKey,
      project: projectId,
      user: user.id,
      ec2: fields.ec2Url,
      s3: fields.s3Url,
      os: fields.novaUrl,
      nova: fields.caFile,
      cert: fields.certFile,
      key: fields.keyFile,
    });
  }

  /**
   * What the user signs in with: the access key. Where nobody signs in (--ec2_auth=noauth) and the flag
   * use_deprecated_auth doesn't say otherwise, the user's name, which owns key pairs there.
   */
  #access(user: User): string {
    const { ec2_auth: mode, use_deprecated_auth: deprecated } = this.parts.runtime.flags;
    return mode === 'noauth' && !deprecated ? user.id : (user.access_key ?? '');
  }

  async #vpnClient(projectId: string): Promise<string | null> {
    const { db, runtime } = this.parts;
    const { files, flags } = runtime;
    const [network] = await networksOfProject(db, projectId);
    if (!network?.vpn_public_address || network.vpn_public_port === null) {
      runtime.log.logger('nova.auth.manager').warn(`No vpn data for project ${projectId}`);
      return null;
    }
    const [address, port] = [network.vpn_public_address, network.vpn_public_port];
    const [caFile, certFile, keyFile] = [flags.ca_file, flags.credential_cert_file, flags.credential_key_file];
    if (flags.vpn_client_template === '') return renderVpnClientFile({ address, port, caFile, certFile, keyFile });
    const fields = { ip: address, port: String(port), keyfile: keyFile, certfile: certFile, cafile: caFile };
    return fillTemplate(files, 'vpn_client_template', flags.vpn_client_template, fields);
  }
}

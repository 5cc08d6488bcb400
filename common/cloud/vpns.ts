import { dirname, join, resolve } from 'node:path';
import { Context } from '../context.js';
import { fileNameOf, type CertificateAuthority } from '../crypto/ca.js';
import { listProjects, projectById, type Project } from '../db/projects.js';
import { addRules, createGroup } from '../db/securityGroups.js';
import {
  lastVpnInstance,
  setVpnEndpoint,
  vpnEndpoints,
  vpnInstances,
  type VpnEndpoint,
  type VpnInstance,
} from '../db/vpns.js';
import { InvalidInput, KeyPairExists } from '../errors.js';
import { isIPv4, isIPv6 } from '../ipAddress.js';
import { bootScript, fillBootScript, vpnUserData } from '../vpn/payload.js';
import { vpnIsUp } from '../vpn/probe.js';
import type { Instances } from './instances.js';
import type { KeyPairs } from './keyPairs.js';
import type { CloudParts } from './parts.js';
import { requireAdmin } from './requireAdmin.js';

/** How a project's VPN is; without an instance it is `pending`. */
export type VpnState = 'pending' | 'running' | 'down' | 'down - invalid project vpn config';

/** The VPN of one project. */
export interface Vpn {
  readonly projectId: string;
  readonly endpoint: VpnEndpoint;
  readonly instance: VpnInstance | null;
  readonly state: VpnState;
}

const instanceType = 'm1.tiny';
const fromEverywhere = { cidr: '0.0.0.0/0', group_id: null };
/** What reaches a cloudpipe: OpenVPN, and ICMP. */
const openings = [
  { protocol: 'udp', from_port: 1194, to_port: 1194, ...fromEverywhere },
  { protocol: 'icmp', from_port: -1, to_port: -1, ...fromEverywhere },
];

/**
 * What there is of cloudpipes: an instance of the flag vpn_image_id in each project's network through which its users get
 * in by OpenVPN (nova 2011.3, nova/cloudpipe/pipelib.py). Every method throws AdminRequired unless the caller is an
 * administrator.
 */
export class VpnDirectory {
  constructor(protected readonly base: Pick<CloudParts, 'runtime' | 'db'>) {}

  /** The VPNs of all projects, or of one, by project; those which have an endpoint are asked whether they are up. */
  async list(context: Context, projectId?: string): Promise<Vpn[]> {
    requireAdmin(context);
    const { db } = this.base;
    const projects = projectId === undefined ? await listProjects(db) : [await projectById(db, projectId)];
    const [endpoints, instances] = await Promise.all([vpnEndpoints(db), vpnInstances(db, this.image)]);
    return Promise.all(
      projects.map(async ({ id }) => {
        const endpoint = endpoints.get(id) ?? { address: null, port: null };
        const instance = instances.find((candidate) => candidate.project_id === id) ?? null;
        return { projectId: id, endpoint, instance, state: await this.#state(endpoint, instance) };
      }),
    );
  }

  /** Says where a project's VPN is reached. Throws InvalidInput, also for a project without a network, and ProjectNotFound. */
  async change(context: Context, projectId: string, address: string, port: number): Promise<void> {
    requireAdmin(context);
    if (!isIPv4(address) && !isIPv6(address)) throw new InvalidInput(`${address.slice(0, 100)} is no IP address`);
    if (!Number.isInteger(port) || port < 1 || port > 65535)
      throw new InvalidInput('a port is a number from 1 to 65535');
    await projectById(this.base.db, projectId);
    if ((await setVpnEndpoint(this.base.db, projectId, { address, port })) === 0) {
      throw new InvalidInput(`project ${projectId} has no network`);
    }
  }

  /** `instances.image_ref` of a cloudpipe. */
  protected get image(): string {
    return String(this.base.runtime.flags.vpn_image_id);
  }

  async #state({ address, port }: VpnEndpoint, instance: VpnInstance | null): Promise<VpnState> {
    if (instance === null) return 'pending';
    if (!address || port === null) return 'down - invalid project vpn config';
    return (await vpnIsUp(this.base.runtime, address, port)) ? 'running' : 'down';
  }
}

/** Cloudpipes, and how to start one. */
export class Vpns extends VpnDirectory {
  constructor(
    private readonly parts: CloudParts,
    private readonly cloud: { readonly instances: Instances; readonly keyPairs: KeyPairs },
    private readonly authority: CertificateAuthority,
  ) {
    super(parts);
  }

  /**
   * Starts a project's cloudpipe, unless it has one; answers its instance's id. Racing callers start one. Throws
   * ProjectNotFound, ImageNotFound, QuotaError and ApiError.
   */
  async start(context: Context, projectId: string): Promise<number> {
    requireAdmin(context);
    const project = await projectById(this.parts.db, projectId);
    const running = await this.#instanceOf(projectId);
    return running?.id ?? (await this.#launch(context, project));
  }

  async #instanceOf(projectId: string): Promise<VpnInstance | undefined> {
    const instances = await vpnInstances(this.parts.db, this.image);
    return instances.find((instance) => instance.project_id === projectId);
  }

  async #launch(context: Context, project: Project): Promise<number> {
    const { db, runtime } = this.parts;
    const { flags } = runtime;
    // As the project's manager, whose key it gets.
    const own = new Context({ ...context, userId: project.project_manager ?? context.userId, projectId: project.id });
    const name = `${project.id.slice(0, 200)}${flags.vpn_key_suffix}`;
    // Two who race count the same cloudpipes before theirs, and so ask with the same token for one instance.
    const clientToken = `cloudpipe-${await lastVpnInstance(db, project.id, this.image)}`;
    const userData = await this.#userData(project.id);
    await this.#ensureGroup(own, name, project.id);
    await this.#ensureKeyPair(own, name);
    const { instances } = await this.cloud.instances.run(own, {
      image: this.image,
      minCount: 1,
      maxCount: 1,
      instanceType,
      keyName: name,
      securityGroups: [{ name }],
      userData,
      blockDevices: [],
      clientToken,
    });
    return instances[0]!.row.id;
  }

  async #userData(projectId: string): Promise<string> {
    const { files, flags } = this.parts.runtime;
    const template = flags.boot_script_template === '' ? bootScript : await files.read(flags.boot_script_template);
    const { key, certificate } = await this.authority.vpnServer(projectId);
    return vpnUserData({
      revocationList: await this.authority.revocationList(projectId),
      serverKey: key,
      // Without the description before it: user data has little room.
      serverCertificate: certificate.slice(certificate.indexOf('-----BEGIN')),
      authority: await this.authority.chain(projectId),
      bootScript: fillBootScript(template, {
        cc_dmz: flags.ec2_dmz_host,
        cc_port: String(flags.ec2_port),
        dmz_net: flags.dmz_net,
        dmz_mask: flags.dmz_mask,
        num_vpn: String(flags.cnt_vpn_clients),
      }),
    });
  }

  /** The group is made here and not by the rule about groups, whose names allow less than a project's. */
  async #ensureGroup(context: Context, name: string, projectId: string): Promise<void> {
    const values = { name, description: 'Group for vpn', user_id: context.userId, project_id: projectId };
    const id = await createGroup(this.parts.db, values);
    if (id !== null) await addRules(this.parts.db, id, openings);
  }

  /** The private key is kept below keys_path: nobody else has it. */
  async #ensureKeyPair(context: Context, name: string): Promise<void> {
    const { files, flags } = this.parts.runtime;
    try {
      const { privateKey } = await this.cloud.keyPairs.create(context, name);
      const path = join(resolve(flags.keys_path), fileNameOf(context.userId ?? '-'), `${fileNameOf(name)}.pem`);
      await files.makeFolder(dirname(path));
      await files.writeAtomic(path, privateKey, 0o600);
    } catch (error) {
      if (!(error instanceof KeyPairExists)) throw error;
    }
  }
}

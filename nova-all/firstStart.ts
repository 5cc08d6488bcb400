import { join } from 'node:path';
import { makeNetworks, plainNetwork } from '../common/cloud/networks.js';
import { adminContext } from '../common/context.js';
import type { Db } from '../common/db/db.js';
import { createFloatingIps, listFloatingIps } from '../common/db/floatingIps.js';
import { listNetworks } from '../common/db/networks.js';
import { addMember, addProjectRole, createProject } from '../common/db/projects.js';
import { requireSchema, schemaVersion, syncDatabase } from '../common/db/sync.js';
import { addGlobalRole, createUser } from '../common/db/users.js';
import { ProjectExists, StartupError, UserExists } from '../common/errors.js';
import type { ImageService } from '../common/images/imageService.js';
import { addressAt, parseCidr } from '../common/ipAddress.js';
import type { Runtime } from '../common/runtime/runtime.js';
import { tinyImage } from './tinyImage.js';

/** What the first start works with. `say` tells the user what is being made. */
export interface FirstStartParts {
  readonly runtime: Runtime;
  readonly db: Db;
  readonly say: (line: string) => void;
}

/** The users of the first start; each has a project of the same name. */
const firstUsers = [
  { id: 'admin', isAdmin: true, roles: [] },
  { id: 'demo', isAdmin: false, roles: ['sysadmin', 'netadmin'] },
] as const;

const imageName = 'tiny';

/** Exists once everything was made: from then on what is missing was taken away on purpose, and stays away. */
const doneFile = (runtime: Runtime): string => join(runtime.flags.state_path, 'first-start.done');

/**
 * Makes the schema, users, projects, a network and floating addresses, unless a start before this one has. Each piece is
 * looked for before it is made, so that a start which was killed half-way is carried on by the next. Answers whether
 * this is still the first start, so that {@link finishFirstStart} is due.
 */
export async function prepareState(parts: FirstStartParts): Promise<boolean> {
  const { runtime, db, say } = parts;
  const isEmpty = (await schemaVersion(db)) === 0;
  if (isEmpty) {
    say('making the database');
    await syncDatabase(db);
  }
  await requireSchema(db);
  if (!isEmpty && (await runtime.files.exists(doneFile(runtime)))) return false;
  await makeUsers(parts);
  await makeNetwork(parts);
  await makeFloatingIps(parts);
  return true;
}

/** Registers the image, once the registry serves, and notes that the first start is over. */
export async function finishFirstStart(parts: FirstStartParts, images: ImageService | null): Promise<void> {
  if (images !== null) await makeImage(parts, images);
  await parts.runtime.files.writeAtomic(
    doneFile(parts.runtime),
    'What is missing from here on was removed on purpose.\n',
  );
}

async function makeUsers({ runtime, db, say }: FirstStartParts): Promise<void> {
  const { random } = runtime;
  for (const { id, isAdmin, roles } of firstUsers) {
    const isNew = await createUser(db, { id, isAdmin, accessKey: random.uuid(), secretKey: random.uuid() }).then(
      () => true,
      (error: unknown) => {
        if (error instanceof UserExists) return false;
        throw error;
      },
    );
    if (isNew) say(`making user and project ${id}`);
    await createProject(db, id, id).catch((error: unknown) => {
      if (!(error instanceof ProjectExists)) throw error;
    });
    await addMember(db, id, id);
    for (const role of roles) {
      await addGlobalRole(db, id, role);
      await addProjectRole(db, id, id, role);
    }
  }
}

async function makeNetwork({ runtime, db, say }: FirstStartParts): Promise<void> {
  const { flags, random } = runtime;
  if ((await listNetworks(db)).length > 0) return;
  const range = parseCidr(flags.fixed_range);
  if (range === null || range.version !== 4)
    throw new StartupError(`--fixed_range=${flags.fixed_range} is no IPv4 range such as 10.0.0.0/22`);
  const vlan = flags.network_manager.endsWith('VlanManager');
  const most = BigInt(vlan ? Math.min(flags.network_size, 256) : flags.network_size);
  const size = Number(range.size < most ? range.size : most);
  // with VLANs each project has a network of its own
  const count = vlan ? Math.min(64, Math.floor(Number(range.size) / size)) : 1;
  say(`making ${count === 1 ? 'a network' : `${count} networks`} of ${size} addresses in ${flags.fixed_range}`);
  const request = {
    ...plainNetwork('private', flags.fixed_range),
    count,
    size,
    multiHost: flags.multi_host,
    bridge: flags.flat_network_bridge,
    bridgeInterface: flags.flat_interface ?? flags.vlan_interface ?? (vlan ? flags.public_interface : null),
    dns1: flags.flat_network_dns,
    vpnClients: flags.cnt_vpn_clients,
    ...(vlan && { vlan: { start: flags.vlan_start, vpnStart: flags.vpn_start } }),
  };
  await makeNetworks({ db, random }, request);
}

/** Every address of floating_range but its network's and its broadcast address. */
async function makeFloatingIps({ runtime, db, say }: FirstStartParts): Promise<void> {
  const { floating_range: text } = runtime.flags;
  if ((await listFloatingIps(db)).length > 0) return;
  const range = parseCidr(text);
  if (range === null || range.version !== 4 || range.size > 65_536n) {
    throw new StartupError(`--floating_range=${text} is no IPv4 range of at most 65536 addresses such as 4.4.4.0/24`);
  }
  const size = Number(range.size);
  const all = Array.from({ length: size }, (_, index) => addressAt(range, index));
  const addresses = size > 2 ? all.slice(1, -1) : all;
  say(`making ${addresses.length} floating addresses of ${text}`);
  await createFloatingIps(db, addresses);
}

async function makeImage({ runtime, say }: FirstStartParts, images: ImageService): Promise<void> {
  const context = adminContext(runtime);
  const known = await images.detail(context);
  if (known.some((image) => image.name === imageName && image.status === 'active')) return;
  say(`registering the image ${imageName}`);
  const fields = {
    name: imageName,
    is_public: true,
    disk_format: 'raw',
    container_format: 'bare',
    properties: {
      architecture: 'x86_64',
      image_location: 'local',
      image_state: 'available',
      project_id: firstUsers[0].id,
    },
  };
  await images.create(context, fields, new Blob([new Uint8Array(tinyImage())]).stream());
}

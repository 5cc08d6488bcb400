import type { DaemonParts, RunningDaemon } from '../common/daemon.js';
import type { Db } from '../common/db/db.js';
import { fixedIpsOfInstances } from '../common/db/fixedIps.js';
import { rulesOfGroups } from '../common/db/securityGroups.js';
import { idFromName } from '../common/names.js';
import { runService } from '../common/service.js';
import { ComputeManager } from '../nova-compute/manager/index.js';
import type { MachineSpec } from '../nova-compute/virt/driver.js';
import { FakeDriver } from '../nova-compute/virt/fake/fakeDriver.js';
import { FakeNetworkDriver } from '../nova-network/linux/fake.js';
import { chooseNetworkManager } from '../nova-network/manager/choose.js';
import { FakeVolumeDriver } from '../nova-volume/drivers/fake.js';
import { volumeManager } from '../nova-volume/manager/manager.js';
import { troubled, type DriverTroubles } from './faults/drivers.js';
import type { SimulatedHost } from './host.js';
import type { SimulatedRuntime } from './simulatedRuntime.js';

/** What a daemon with a back end is started with. */
export interface BackEnd {
  readonly host: SimulatedHost;
  readonly runtime: SimulatedRuntime;
  readonly troubles: DriverTroubles;
}

/** nova-compute on a hypervisor which also has packet filters. */
export async function startCompute(parts: DaemonParts, backEnd: BackEnd): Promise<RunningDaemon> {
  const filtering = new FilteringDriver(backEnd.runtime, parts.db, backEnd.host);
  const driver = troubled(filtering, backEnd.runtime, backEnd.troubles);
  const manager = new ComputeManager(parts, driver);
  return runService(parts, { binary: 'nova-compute', topic: parts.runtime.flags.compute_topic, manager });
}

/** nova-network on a host which remembers where the traffic for floating addresses goes. */
export async function startNetwork(parts: DaemonParts, backEnd: BackEnd): Promise<RunningDaemon> {
  const Manager = await chooseNetworkManager(parts.runtime.flags);
  const forwarding = new ForwardingDriver(parts.runtime.log.logger('nova.network.linux_net'), backEnd.host);
  const driver = troubled(forwarding, backEnd.runtime, backEnd.troubles);
  return runService(parts, {
    binary: 'nova-network',
    topic: parts.runtime.flags.network_topic,
    manager: new Manager(parts, driver),
  });
}

export async function startVolume(parts: DaemonParts, backEnd: BackEnd): Promise<RunningDaemon> {
  const driver = troubled(new FakeVolumeDriver(parts.runtime), backEnd.runtime, backEnd.troubles);
  return runService(parts, {
    binary: 'nova-volume',
    topic: parts.runtime.flags.volume_topic,
    manager: volumeManager(parts, driver),
  });
}

/** The fake hypervisor with a packet filter for each machine, made of its groups' rules as 2011.3's iptables driver does. */
class FilteringDriver extends FakeDriver {
  constructor(
    private readonly own: SimulatedRuntime,
    private readonly db: Db,
    private readonly host: SimulatedHost,
  ) {
    super(own);
  }

  /** Filters are made when the daemon starts, as its chains are: one which died as it started a machine leaves none. */
  override async init(host: string): Promise<void> {
    await super.init(host);
    const machines = new Set((await this.list()).map((machine) => machine.name));
    for (const name of this.host.filters.keys()) if (!machines.has(name)) this.host.filters.delete(name);
  }

  override async spawn(spec: MachineSpec, signal: AbortSignal): Promise<void> {
    const filter = await this.#filterOf(spec.name);
    if (filter !== undefined) this.host.filters.set(spec.name, filter);
    await super.spawn(spec, signal);
  }

  override async destroy(name: string): Promise<void> {
    await super.destroy(name);
    this.host.filters.delete(name);
  }

  override async refreshSecurityGroup(): Promise<void> {
    for (const { name } of await this.list()) {
      const filter = await this.#filterOf(name);
      // The machine may have been destroyed while the rules were read.
      if (filter !== undefined && (await this.info(name)) !== undefined) this.host.filters.set(name, filter);
    }
  }

  async #filterOf(name: string): Promise<string | undefined> {
    const id = idFromName(this.own.flags.instance_name_template, name);
    return id === undefined ? undefined : filterOf(this.db, id);
  }
}

/** What the rules of an instance's groups let in, sorted. */
export async function filterOf(db: Db, instanceId: number): Promise<string> {
  const groups = await db.all<{ id: number }>(
    'SELECT g.id AS id FROM security_group_instance_association a JOIN security_groups g ON g.id = a.security_group_id ' +
      'WHERE a.instance_id = ? AND a.deleted = ? AND g.deleted = ? ORDER BY g.id',
    [instanceId, false, false],
  );
  const rules = await rulesOfGroups(
    db,
    groups.map((group) => group.id),
  );
  const lines = new Set<string>();
  for (const rule of rules) {
    const ports = `${rule.protocol ?? 'all'} ${rule.from_port ?? ''}-${rule.to_port ?? ''}`;
    if (rule.group_id === null) lines.add(`${ports} from ${rule.cidr}`);
    else for (const address of await addressesOfGroup(db, rule.group_id)) lines.add(`${ports} from ${address}`);
  }
  return [...lines].sort().join('; ');
}

async function addressesOfGroup(db: Db, groupId: number): Promise<string[]> {
  const members = await db.all<{ id: number }>(
    'SELECT i.id AS id FROM security_group_instance_association a JOIN instances i ON i.id = a.instance_id ' +
      'WHERE a.security_group_id = ? AND a.deleted = ? AND i.deleted = ? ORDER BY i.id',
    [groupId, false, false],
  );
  const rows = await fixedIpsOfInstances(
    db,
    members.map((member) => member.id),
  );
  return rows.filter((row) => row.allocated === true).map((row) => row.address!);
}

/** Leaves the host's network alone, but remembers forwards. They are made anew when nova-network starts, as its chains are. */
class ForwardingDriver extends FakeNetworkDriver {
  constructor(
    log: ConstructorParameters<typeof FakeNetworkDriver>[0],
    private readonly host: SimulatedHost,
  ) {
    super(log);
  }

  override async init(): Promise<void> {
    await super.init();
    this.host.forwards.clear();
  }

  override async ensureFloatingForward(floatingAddress: string, fixedAddress: string): Promise<void> {
    await super.ensureFloatingForward(floatingAddress, fixedAddress);
    this.host.forwards.set(floatingAddress, fixedAddress);
  }

  override async removeFloatingForward(floatingAddress: string, fixedAddress: string): Promise<void> {
    await super.removeFloatingForward(floatingAddress, fixedAddress);
    if (this.host.forwards.get(floatingAddress) === fixedAddress) this.host.forwards.delete(floatingAddress);
  }
}

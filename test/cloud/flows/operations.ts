import type { LaunchWish } from '../../../common/cloud/launch.js';
import { until } from '../../support/rabbitmq.js';
import { recording } from '../deviations.js';
import type { MessageRules } from '../messages.js';
import type { RecordedCloud } from '../recordedCloud.js';
import type { RecordedWrite } from '../rows.js';
import { countHosts } from './addresses.js';
import type { Flow } from './flow.js';

/**
 * Flows which began in the OpenStack API. The rules behind it are called in its place: what they write and send, and what
 * the daemons make of it, is compared.
 */
const wish = (displayName: string, more: Partial<LaunchWish> = {}): LaunchWish => ({
  image: 'ami-00000001',
  instanceType: 'm1.tiny',
  securityGroups: [],
  blockDevices: [],
  displayName,
  ...more,
});

/** The newest instance of a name. */
export async function named(cloud: RecordedCloud, name: string): Promise<number> {
  const [row] = await cloud.sql<{ id: number }>(
    'SELECT id FROM instances WHERE display_name = $1 AND deleted = false ORDER BY id DESC',
    [name],
  );
  if (row === undefined) throw new Error(`There is no instance ${name}`);
  return row.id;
}

const hasState = 'SELECT vm_state = $2 AND task_state IS NOT DISTINCT FROM $3 FROM instances WHERE id = $1';

async function launch(cloud: RecordedCloud, asked: LaunchWish): Promise<void> {
  const { instances } = await cloud.rules.instances.run(cloud.administrator(), asked);
  for (const { row } of instances) await cloud.untilState(`i-${row.id.toString(16)}`, 'active');
}

/** An operation on an instance, and the state which it leads to. */
function operation(
  name: string,
  on: string,
  call: (cloud: RecordedCloud, id: number) => Promise<unknown>,
  then: { state?: string; task?: string } = {},
  rules?: MessageRules,
): Flow {
  return {
    name,
    ...(rules !== undefined && { rules }),
    async run(cloud) {
      const id = await named(cloud, on);
      await call(cloud, id);
      // An operation begins in the state which it ends in, or comes by it: its writes tell how far it is.
      const recorded = recording<RecordedWrite[]>(`db/writes/${name}.json`) ?? [];
      const few = Math.min(2, recorded.filter((write) => 'table' in write && write.table === 'instances').length);
      if (few === 0) return;
      await until(`the writes of ${name}`, async () => {
        const { writes } = await cloud.recorded();
        return writes.filter((write) => write.table === 'instances' && write.id === id).length >= few;
      });
      await cloud.untilTrue(hasState, [id, then.state ?? 'active', then.task ?? null]);
    },
  };
}

/** The life of servers on one host. */
export const serverFlows: readonly Flow[] = [
  { name: 'osapi_server_create', run: (cloud) => launch(cloud, wish('os1', { displayDescription: 'os1' })) },
  {
    name: 'osapi_server_create_personality',
    run: (cloud) => launch(cloud, wish('os2', { displayDescription: 'os2', metadata: { role: 'web', n: '1' } })),
  },
  {
    name: 'osapi_server_create_v10',
    run: (cloud) => launch(cloud, wish('os10', { displayDescription: 'os10', metadata: { a: 'b' } })),
  },
  operation('osapi_reboot_soft', 'os1', (cloud, id) => cloud.rules.instances.reboot(cloud.administrator(), [id])),
  operation('osapi_reboot_hard', 'os1', (cloud, id) => cloud.rules.instances.reboot(cloud.administrator(), [id])),
  operation('osapi_rescue', 'os1', (cloud, id) => cloud.rules.power.rescue(cloud.administrator(), id), {
    state: 'rescued',
  }),
  operation('osapi_unrescue', 'os1', (cloud, id) => cloud.rules.power.unrescue(cloud.administrator(), id)),
  operation('osapi_change_password', 'os1', (cloud, id) =>
    cloud.rules.guests.setAdminPassword(cloud.administrator(), id, 'newpass1'),
  ),
  operation('osapi_rebuild', 'os1', (cloud, id) =>
    cloud.rules.rebuilds.rebuild(cloud.administrator(), id, {
      displayName: 'os1b',
      metadata: { k: 'v' },
      files: [{ path: '/etc/x', contents: 'xx' }],
    }),
  ),
  operation('osapi_diagnostics', 'os1b', (cloud, id) => cloud.rules.guests.diagnostics(cloud.administrator(), id)),
  operation('osapi_create_image', 'os1b', (cloud, id) =>
    cloud.rules.instanceImages.snapshot(cloud.administrator(), id, { name: 's' }),
  ),
  operation('osapi_create_backup', 'os1b', (cloud, id) =>
    cloud.rules.instanceImages.backup(cloud.administrator(), id, { name: 'b', backupType: 'daily', rotation: 1 }),
  ),
  {
    name: 'osapi_resize_same_host',
    async run(cloud) {
      const id = await named(cloud, 'os2');
      await cloud.rules.resizes.resize(cloud.administrator(), id, 5);
      await cloud.untilTrue('SELECT count(*) = 1 FROM instance_actions WHERE instance_id = $1', [id]);
    },
  },
  {
    name: 'osapi_metadata',
    async run(cloud) {
      const [id, context] = [await named(cloud, 'os1b'), cloud.administrator()];
      const server = { kind: 'instance', id } as const;
      await cloud.rules.tags.set(context, [server], { x: '1' });
      await cloud.rules.tags.set(context, [server], { x: '2' });
      await cloud.rules.tags.remove(context, [server], [{ key: 'x' }]);
      await cloud.rules.instanceAttributes.setTexts(context, id, { name: 'renamed' });
    },
  },
  {
    name: 'osapi_server_delete',
    async run(cloud) {
      const id = await named(cloud, 'os10');
      await cloud.rules.instances.terminate(cloud.administrator(), [id]);
      await cloud.untilGone(`i-${id.toString(16)}`);
    },
  },
  {
    name: 'osapi_volumes',
    async run(cloud) {
      const [instance, context] = [await named(cloud, 'renamed'), cloud.administrator()];
      const { volumes } = cloud.rules;
      const { id } = await volumes.create(context, { size: 1, name: 'v', description: 'd' });
      const ec2Id = `vol-${id.toString(16)}`;
      await cloud.untilVolume(ec2Id, 'available');
      await volumes.attach(context, id, instance, '/dev/vdc');
      await cloud.untilVolume(ec2Id, 'in-use');
      await volumes.detach(context, id);
      await cloud.untilVolume(ec2Id, 'available');
    },
  },
  {
    name: 'osapi_hosts',
    run: async (cloud) => void (await cloud.rules.hostControl.setEnabled(cloud.administrator(), 'cloud1', true)),
  },
  {
    name: 'osapi_quota_set',
    async run(cloud) {
      const limits = { instances: 7, cores: 9, volumes: 3 };
      for (const [key, value] of Object.entries(limits))
        await cloud.manage('project', 'quota', 'proj2', `--key=${key}`, `--value=${value}`);
    },
  },
  operation('osapi_pause', 'renamed', (cloud, id) => cloud.rules.power.pause(cloud.administrator(), id), {
    state: 'paused',
  }),
  operation('osapi_unpause', 'renamed', (cloud, id) => cloud.rules.power.unpause(cloud.administrator(), id)),
  operation('osapi_suspend', 'renamed', (cloud, id) => cloud.rules.power.suspend(cloud.administrator(), id), {
    state: 'suspended',
  }),
  operation('osapi_resume', 'renamed', (cloud, id) => cloud.rules.power.resume(cloud.administrator(), id)),
  operation('osapi_pause_uuid', 'renamed', (cloud, id) => cloud.rules.power.pause(cloud.administrator(), id), {
    state: 'paused',
  }),
  operation(
    'osapi_inject_network_info',
    'renamed',
    (cloud, id) => cloud.rules.guests.injectNetworkInfo(cloud.administrator(), id),
    { state: 'paused' },
  ),
  operation('osapi_reset_network', 'renamed', (cloud, id) =>
    cloud.rules.guests.resetNetwork(cloud.administrator(), id),
  ),
];

/** A server of cloud1, beside which the second host is the only one to go to. */
async function serverToMove(cloud: RecordedCloud, name: string): Promise<void> {
  await onlyHost(cloud, 'cloud1');
  await launch(cloud, wish(name));
  await onlyHost(cloud, 'cloud2');
}

async function onlyHost(cloud: RecordedCloud, host: string): Promise<void> {
  for (const each of ['cloud1', 'cloud2'])
    await cloud.manage('service', each === host ? 'enable' : 'disable', `--host=${each}`, '--service=nova-compute');
}

/** From one host to another, there and back. */
export const resizeFlows: readonly Flow[] = [
  {
    ...operation('osapi_resize', 'mover', (cloud, id) => cloud.rules.resizes.resize(cloud.administrator(), id, 5), {
      task: 'resize_verify',
    }),
    prepare: (cloud) => serverToMove(cloud, 'mover'),
  },
  operation('osapi_confirm_resize', 'mover', (cloud, id) => cloud.rules.resizes.confirm(cloud.administrator(), id)),
  {
    ...operation('osapi_resize_2', 'back', (cloud, id) => cloud.rules.resizes.resize(cloud.administrator(), id, 1), {
      task: 'resize_verify',
    }),
    prepare: (cloud) => serverToMove(cloud, 'back'),
  },
  operation('osapi_revert_resize', 'back', (cloud, id) => cloud.rules.resizes.revert(cloud.administrator(), id)),
  operation('osapi_migrate', 'back', (cloud, id) => cloud.rules.resizes.migrate(cloud.administrator(), id), {
    task: 'resize_verify',
  }),
];

export const floatingFlow: Flow = {
  name: 'osapi_floating_ips',
  rules: { anyHost: true },
  async prepare(cloud) {
    await cloud.sql('UPDATE floating_ips SET project_id = NULL WHERE fixed_ip_id IS NULL');
  },
  async run(cloud) {
    const { addresses } = cloud.rules;
    const context = cloud.administrator();
    const [row] = await cloud.sql<{ id: number }>(
      `SELECT max(id) AS id FROM instances WHERE vm_state = 'active' AND task_state IS NULL AND deleted = false`,
    );
    const address = await addresses.allocate(context);
    const held = (condition: string): Promise<void> =>
      cloud.untilTrue(`SELECT ${condition} FROM floating_ips WHERE address = $1`, [address]);
    await addresses.associate(context, row!.id, address);
    await held('fixed_ip_id IS NOT NULL');
    await addresses.disassociate(context, address);
    await held('fixed_ip_id IS NULL');
    await addresses.release(context, address);
    await held('project_id IS NULL');
  },
};

export const pinnedFlow: Flow = {
  name: 'simple_scheduler_run_pinned',
  async prepare(cloud) {
    await countHosts(cloud);
    // Those of the flows before are still there.
    await cloud.manage('project', 'quota', 'proj', '--key=instances', '--value=50');
  },
  run: (cloud) => launch(cloud, wish('pin', { displayDescription: 'pin', availabilityZone: 'nova:cloud1' })),
};

export const multinicFlow: Flow = {
  name: 'osapi_multinic',
  rules: { anyHost: true },
  prepare: (cloud) => launch(cloud, wish('nics')),
  async run(cloud) {
    const context = cloud.administrator();
    const [row] = await cloud.sql<{ id: number; network_id: number }>(
      `SELECT i.id, v.network_id FROM instances i JOIN virtual_interfaces v ON v.instance_id = i.id
        WHERE i.vm_state = 'active' AND i.deleted = false ORDER BY i.id DESC`,
    );
    const addresses = async (): Promise<string[]> =>
      (
        await cloud.sql<{ address: string }>(
          'SELECT address FROM fixed_ips WHERE instance_id = $1 AND allocated ORDER BY id',
          [row!.id],
        )
      ).map(({ address }) => address);
    const before = await addresses();
    const count = 'SELECT count(*) = $2 FROM fixed_ips WHERE instance_id = $1 AND allocated';
    await cloud.rules.guests.addFixedIp(context, row!.id, row!.network_id);
    await cloud.untilTrue(count, [row!.id, before.length + 1]);
    await cloud.settle();
    const added = (await addresses()).find((address) => !before.includes(address));
    await cloud.rules.guests.removeFixedIp(context, row!.id, added!);
    await cloud.untilTrue(count, [row!.id, before.length]);
  },
};

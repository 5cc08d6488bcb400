import { changeInstance, instancesOfHost, instancesOfProject } from '../../common/db/instances.js';
import { recordInstanceError } from '../../common/db/instanceActions.js';
import { listInstanceTypes } from '../../common/db/instanceTypes.js';
import type { InstanceRow } from '../../common/db/rows.js';
import { InstanceNotFound, Invalid, InvalidEc2Id } from '../../common/errors.js';
import { operator } from '../cloud.js';
import { type Category, type Command, json } from '../command.js';
import { type Column, printTable } from '../table.js';

const list: Command = {
  summary: 'Show a list of all instances',
  arguments: [{ name: 'host', option: '--host', help: 'Host' }, json],
  async run(environment, values) {
    const db = await environment.database();
    const host = values['host'];
    const rows = host === undefined ? await instancesOfProject(db, null) : await instancesOfHost(db, host);
    const types = await listInstanceTypes(db, { deleted: 'any' });
    const typeNames = new Map(types.map((type) => [type.id, type.name]));
    const column = (
      heading: string,
      width: number,
      key: string,
      value: (row: InstanceRow) => string | number | null,
    ): Column<InstanceRow> => ({
      heading,
      width,
      key,
      value,
    });
    printTable(
      environment,
      values,
      [
        column('instance', 10, 'instance', (row) => row.hostname),
        column('node', 15, 'node', (row) => row.host),
        column('type', 10, 'type', (row) => typeNames.get(row.instance_type_id ?? 0) ?? null),
        column('state', 10, 'state', (row) => row.vm_state),
        column('launched', 26, 'launched', (row) => row.launched_at),
        column('image', 9, 'image', (row) => row.image_ref),
        column('kernel', 9, 'kernel', (row) => row.kernel_id),
        column('ramdisk', 10, 'ramdisk', (row) => row.ramdisk_id),
        column('project', 10, 'project', (row) => row.project_id),
        column('user', 10, 'user', (row) => row.user_id),
        column('zone', 10, 'zone', (row) => row.availability_zone),
        column('index', 5, 'index', (row) => row.launch_index),
      ],
      rows,
    );
  },
};

/** `i-0000000a`, `instance-0000000a` or a decimal id. */
function instanceIdOf(text: string): number {
  const hex = /^(?:i|instance)-([0-9a-f]{1,8})$/i.exec(text);
  if (hex) return parseInt(hex[1]!, 16);
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidEc2Id(text);
}

const resetState: Command = {
  summary: 'Give an instance which is stuck a state from which its user can go on',
  arguments: [
    { name: 'ec2_id', option: '--ec2_id', required: true, help: 'EC2 id, e.g. i-0000000a' },
    { name: 'active', option: '--active', help: 'set it to active instead of error', isSwitch: true },
  ],
  async run(environment, values) {
    const db = await environment.database();
    const id = instanceIdOf(values['ec2_id']!);
    const state = values['active'] ? 'active' : 'error';
    await db.transaction(async (tx) => {
      if (!(await changeInstance(tx, id, { vm_state: state, task_state: null }))) throw new InstanceNotFound(id);
      if (state === 'error') await recordInstanceError(tx, id, 'reset-state', 'Set to error by an administrator');
    });
    environment.print(`${values['ec2_id']} is now ${state}`);
  },
};

/** Hypervisors and volume drivers between whose hosts an instance can move while it runs. */
const movingHypervisors = ['libvirt', 'fake'];
const movingVolumes = /\.(AOEDriver|ISCSIDriver|FakeAOEDriver|FakeISCSIDriver)$/;

function migration(summary: string, blockMigration: boolean): Command {
  return {
    summary,
    arguments: [
      { name: 'ec2_id', option: '--ec2_id', required: true, help: 'EC2 id, e.g. i-0000000a' },
      { name: 'dest', option: '--dest', required: true, help: 'Host which the instance goes to' },
    ],
    async run(environment, values) {
      const { connection_type: hypervisor, volume_driver: volumes } = environment.runtime.flags;
      const id = instanceIdOf(values['ec2_id']!);
      if (!movingHypervisors.includes(hypervisor)) throw new Invalid('Only KVM and QEmu are supported for now. Sorry!');
      if (!movingVolumes.test(volumes)) throw new Invalid('Support only AOEDriver and ISCSIDriver. Sorry!');
      const rpc = await environment.rpc();
      const args = { instance_id: id, dest: values['dest']!, topic: 'compute', block_migration: blockMigration };
      await rpc.scheduler.call.live_migration(operator(environment), args);
      environment.print(`Migration of ${values['ec2_id']} initiated.Check its progress using euca-describe-instances.`);
    },
  };
}

/** `nova-manage vm` (nova 2011.3, bin/nova-manage VmCommands), and reset-state of our own. */
export const vm: Category = {
  commands: {
    block_migration: migration('Migrates a running instance with its disks to a new machine.', true),
    list,
    live_migration: migration('Migrates a running instance to a new machine.', false),
    'reset-state': resetState,
  },
};

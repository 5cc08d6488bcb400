import type { Db } from '../../common/db/db.js';
import { DBError } from '../../common/errors.js';

/** What a user who has just looked would know of a project's things, by EC2 id, the oldest first. */
export interface Known {
  readonly running: readonly string[];
  readonly stopped: readonly string[];
  readonly rescued: readonly string[];
  /** Volumes which are attached to nothing. */
  readonly free: readonly string[];
  readonly attached: readonly Attached[];
  readonly associated: readonly string[];
}

interface Attached {
  readonly volume: string;
  readonly instance: string;
  readonly device: string;
}

const nothing: Known = { running: [], stopped: [], rescued: [], free: [], attached: [], associated: [] };

/** Looks what a project has now; while the database is away nobody sees anything. */
export async function knownOf(db: Db, project: string): Promise<Known> {
  try {
    return await look(db, project);
  } catch (error) {
    if (error instanceof DBError) return nothing;
    throw error;
  }
}

async function look(db: Db, project: string): Promise<Known> {
  const instances = await db.all<{ id: number; vm_state: string }>(
    'SELECT id, vm_state FROM instances WHERE project_id = ? AND deleted = ? AND task_state IS NULL ORDER BY id',
    [project, false],
  );
  const volumes = await db.all<{ id: number; status: string; instance_id: number | null; mountpoint: string | null }>(
    'SELECT id, status, instance_id, mountpoint FROM volumes WHERE project_id = ? AND deleted = ? ORDER BY id',
    [project, false],
  );
  const addresses = await db.all<{ address: string }>(
    'SELECT address FROM floating_ips WHERE project_id = ? AND fixed_ip_id IS NOT NULL AND deleted = ? ORDER BY id',
    [project, false],
  );
  const inState = (state: string): string[] =>
    instances.flatMap((row) => (row.vm_state === state ? ec2Id('i', row.id) : []));
  return {
    running: inState('active'),
    stopped: inState('stopped'),
    rescued: inState('rescued'),
    free: volumes.flatMap((row) => (row.status === 'available' ? ec2Id('vol', row.id) : [])),
    attached: volumes.flatMap(({ id, instance_id: instance, mountpoint }) =>
      instance === null || mountpoint === null
        ? []
        : { volume: ec2Id('vol', id), instance: ec2Id('i', instance), device: mountpoint },
    ),
    associated: addresses.map((row) => row.address),
  };
}

function ec2Id(prefix: string, id: number): string {
  return `${prefix}-${id.toString(16).padStart(8, '0')}`;
}

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CloudWatch } from './cloudWatch.js';
import { until } from './rabbitmq.js';

/**
 * Waits until nothing in a cloud is on its way any more, and everything that is there belongs to somebody; throws a
 * sentence for each thing which is not so after `seconds`.
 */
export async function atRest(watch: CloudWatch, seconds: number): Promise<void> {
  let wrong: string[] = [];
  const look = async (): Promise<boolean> => {
    wrong = await whatIsWrong(watch);
    return wrong.length === 0;
  };
  await until('the cloud to come to rest', look, seconds).catch((error: Error) => {
    const shown = wrong.slice(0, 30).join('\n');
    throw new Error(
      `${error.message}; ${wrong.length} things are wrong:\n${shown}\n${watch.cloud.output().slice(-8000)}`,
    );
  });
}

interface Check {
  /** Rows which should not be there; `what` names each. */
  readonly sql: string;
  readonly what: string;
}

/** What no database may hold once its cloud has come to rest. */
const checks: readonly Check[] = [
  {
    what: 'instance on its way',
    sql: `SELECT id, vm_state, task_state, host FROM instances
          WHERE NOT deleted AND (task_state IS NOT NULL OR vm_state NOT IN ('active', 'stopped', 'error'))`,
  },
  {
    what: 'instance in error without a reason',
    sql: `SELECT id FROM instances i WHERE NOT deleted AND vm_state = 'error'
          AND NOT EXISTS (SELECT 1 FROM instance_actions a WHERE a.instance_id = i.id AND a.error <> '')`,
  },
  {
    what: 'running instance without exactly one address',
    sql: `SELECT i.id, COUNT(f.id) AS addresses FROM instances i
          LEFT JOIN fixed_ips f ON f.instance_id = i.id AND f.allocated AND NOT f.deleted
          WHERE NOT i.deleted AND i.vm_state = 'active' GROUP BY i.id HAVING COUNT(f.id) <> 1`,
  },
  {
    what: 'address of an instance which is gone or in error',
    sql: `SELECT f.address, f.instance_id FROM fixed_ips f LEFT JOIN instances i ON i.id = f.instance_id
          WHERE f.instance_id IS NOT NULL AND (i.id IS NULL OR i.deleted OR i.vm_state = 'error')`,
  },
  {
    what: 'allocated address of nobody',
    sql: 'SELECT address FROM fixed_ips WHERE allocated AND instance_id IS NULL',
  },
  {
    what: 'interface of an instance which is gone or in error',
    sql: `SELECT v.id, v.instance_id FROM virtual_interfaces v LEFT JOIN instances i ON i.id = v.instance_id
          WHERE NOT v.deleted AND (i.id IS NULL OR i.deleted OR i.vm_state = 'error')`,
  },
  {
    what: 'volume on its way',
    sql: `SELECT id, status, host FROM volumes
          WHERE NOT deleted AND status NOT IN ('available', 'in-use', 'error', 'error_deleting')`,
  },
  {
    what: 'target of a volume which is gone',
    sql: `SELECT t.id, t.volume_id FROM iscsi_targets t LEFT JOIN volumes v ON v.id = t.volume_id
          WHERE t.volume_id IS NOT NULL AND (v.id IS NULL OR v.deleted)`,
  },
];

/** A sentence for each thing in a cloud which is not as it should be. */
export async function whatIsWrong(watch: CloudWatch): Promise<string[]> {
  const wrong: string[] = [];
  for (const { what, sql } of checks) {
    for (const row of await watch.rows(sql)) wrong.push(`${what}: ${JSON.stringify(row)}`);
  }
  const machines = filesIn(join(watch.cloud.stateFolder, 'fake'), /^instance-([0-9a-f]{8})\.json$/);
  const running = await watch.rows<{ id: number; host: string }>(
    `SELECT id, host FROM instances WHERE NOT deleted AND vm_state = 'active'`,
  );
  const wanted = new Set(running.map(({ id, host }) => `${host} ${id}`));
  for (const machine of machines) if (!wanted.has(machine)) wrong.push(`machine without an instance: ${machine}`);
  for (const instance of wanted) if (!machines.has(instance)) wrong.push(`instance without a machine: ${instance}`);

  const stored = filesIn(join(watch.cloud.stateFolder, 'fake-volumes'), /^volume-([0-9a-f]{8})/);
  const volumes = await watch.rows<{ id: number; host: string }>(
    `SELECT id, host FROM volumes WHERE NOT deleted AND status IN ('available', 'in-use')`,
  );
  const kept = new Set(volumes.map(({ id, host }) => `${host} ${id}`));
  for (const file of stored) if (!kept.has(file)) wrong.push(`stored volume without a row: ${file}`);
  for (const volume of kept) if (!stored.has(volume)) wrong.push(`volume without storage: ${volume}`);
  return wrong;
}

/** `HOST NUMBER` for each file `HOST/NAME-HEX` of a fake driver. */
function filesIn(folder: string, name: RegExp): Set<string> {
  const found = new Set<string>();
  if (!existsSync(folder)) return found;
  for (const host of readdirSync(folder)) {
    for (const file of readdirSync(join(folder, host))) {
      const hex = name.exec(file)?.[1];
      if (hex !== undefined) found.add(`${host} ${parseInt(hex, 16)}`);
    }
  }
  return found;
}

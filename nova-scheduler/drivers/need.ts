import type { Db } from '../../common/db/db.js';
import { extraSpecsOf } from '../../common/db/instanceTypes.js';
import type { InstanceRow } from '../../common/db/rows.js';

/** What an instance needs of its host. */
export interface Need {
  readonly memoryMb: number;
  readonly localGb: number;
  /** What the host must say of itself. */
  readonly extraSpecs: Readonly<Record<string, string>>;
  /** The host filter which the request names; null for the flag default_host_filter. */
  readonly filter: string | null;
}

/** What a `request_spec` asks for, a message's, so anything; null when it says nothing of an instance type. */
export function needOfSpec(requestSpec: unknown): Need | null {
  const spec = objectOf(requestSpec);
  const type = objectOf(spec?.['instance_type']);
  if (type === null) return null;
  const filter = spec?.['filter'];
  return {
    memoryMb: numberOf(type['memory_mb']),
    localGb: numberOf(type['local_gb']),
    extraSpecs: Object.fromEntries(
      Object.entries(objectOf(type['extra_specs']) ?? {}).map(([key, value]) => [key, String(value)]),
    ),
    filter: typeof filter === 'string' && filter !== '' ? filter : null,
  };
}

/** What an instance asks for; by its rows where its message has no request_spec (start_instance). */
export async function needOf(db: Db, instance: InstanceRow, requestSpec: unknown): Promise<Need> {
  const said = needOfSpec(requestSpec);
  if (said !== null) return said;
  const specs = instance.instance_type_id === null ? {} : await extraSpecsOf(db, instance.instance_type_id);
  return {
    memoryMb: instance.memory_mb ?? 0,
    localGb: instance.local_gb ?? 0,
    extraSpecs: Object.fromEntries(Object.entries(specs).map(([key, value]) => [key, value ?? ''])),
    filter: null,
  };
}

function objectOf(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

function numberOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

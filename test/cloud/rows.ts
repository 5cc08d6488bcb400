import type pg from 'pg';
import { aligned, differences, shown, type Difference } from './values.js';

/** A row write, in the form of the recordings: the new values, and of an update only those which differ. */
export interface Write {
  readonly tx: number;
  readonly op: 'insert' | 'update' | 'delete';
  readonly table: string;
  readonly id: unknown;
  readonly set?: Record<string, unknown>;
  readonly was?: Record<string, unknown>;
  /** `updated_at` was perhaps written with the value it had: our clock counts milliseconds, that of the recordings more. */
  readonly sameMoment?: boolean;
}

/** Recorded writes; a long list is shortened. */
export type RecordedWrite = Write | { readonly _omitted_rows: number };

/** Puts a trigger on every table, which notes each write in a schema of its own. */
export async function recordWrites(client: pg.Client): Promise<void> {
  await client.query(`
    CREATE SCHEMA recording;
    CREATE TABLE recording.writes (seq bigserial, tx bigint, op text, tab text, old jsonb, new jsonb,
      at timestamp DEFAULT (clock_timestamp() AT TIME ZONE 'UTC'));
    CREATE FUNCTION recording.note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO recording.writes (tx, op, tab, old, new) VALUES (txid_current(), lower(TG_OP), TG_TABLE_NAME,
        CASE WHEN TG_OP = 'INSERT' THEN NULL ELSE to_jsonb(OLD) END,
        CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE to_jsonb(NEW) END);
      RETURN NULL;
    END $$;`);
  const { rows } = await client.query<{ tablename: string }>(
    `SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'ext\\_%' ORDER BY tablename`,
  );
  for (const { tablename } of rows) {
    await client.query(
      `CREATE TRIGGER recording AFTER INSERT OR UPDATE OR DELETE ON "${tablename}" FOR EACH ROW EXECUTE FUNCTION recording.note()`,
    );
  }
}

interface Noted {
  tx: string;
  op: Write['op'];
  tab: string;
  old: Record<string, unknown> | null;
  new: Record<string, unknown> | null;
  age: number | null;
}

/** The writes since a sequence number, and the last number. */
export async function writesSince(client: pg.Client, seq: number): Promise<{ writes: Write[]; last: number }> {
  const { rows } = await client.query<Noted & { seq: string }>(
    `SELECT *, (extract(epoch FROM at - (new ->> 'updated_at')::timestamp) * 1000)::int AS age
       FROM recording.writes WHERE seq > $1 ORDER BY seq`,
    [seq],
  );
  const writes = rows.map(({ tx, op, tab, old, new: now, age }): Write => {
    const row = now ?? old ?? {};
    const changed = Object.entries(now ?? {}).filter(([name, value]) =>
      old === null ? value !== null : JSON.stringify(value) !== JSON.stringify(old[name]),
    );
    return {
      tx: Number(tx),
      op,
      table: tab,
      id: row['id'] ?? JSON.stringify(row),
      ...(now === null ? {} : { set: Object.fromEntries(changed) }),
      sameMoment: age !== null && age < 250,
    };
  });
  return { writes, last: Number(rows.at(-1)?.seq ?? seq) };
}

/** What daemons write by the clock, in any flow: heartbeats, and the power states which a periodic task found. */
function byTheClock({ table, op, set = {} }: Write): boolean {
  const columns = Object.keys(set).sort().join(' ');
  return (
    op === 'update' &&
    ((table === 'services' && /^(report_count )?updated_at$/.test(columns)) ||
      (table === 'instances' && /^power_state( updated_at)?$/.test(columns)))
  );
}

/** The writes of each row, rows by table and in the order in which they were first written. */
function histories(writes: readonly Write[]): Map<string, Write[]> {
  const result = new Map<string, Write[]>();
  const names = new Map<string, string>();
  const counts = new Map<string, number>();
  for (const write of writes) {
    if (byTheClock(write)) continue;
    const key = `${write.table} ${JSON.stringify(write.id)}`;
    let name = names.get(key);
    if (name === undefined) {
      const count = (counts.get(write.table) ?? 0) + 1;
      counts.set(write.table, count);
      name = `${write.table} ${count}`;
      names.set(key, name);
    }
    result.set(name, withWrite(result.get(name) ?? [], write));
  }
  return result;
}

/** 2011.3 takes an address for an instance and then marks it as in use; ours does both at once. */
function withWrite(history: readonly Write[], write: Write): Write[] {
  const before = history.at(-1);
  const isTaken =
    before?.table === 'fixed_ips' && before.op === 'update' && typeof before.set?.['instance_id'] === 'number';
  if (!isTaken || write.set?.['allocated'] !== true) return [...history, write];
  return [...history.slice(0, -1), { ...write, set: { ...before.set, ...write.set } }];
}

/** Everything in which the row writes of a flow differ from the recorded ones: rows, order, columns, values. */
export function rowDifferences(
  ours: readonly Write[],
  original: readonly RecordedWrite[],
  { anyHost = false }: { anyHost?: boolean } = {},
): Difference[] {
  const ourWrites = [...ours];
  const written: Write[] = [];
  original.forEach((write, index) => {
    if ('_omitted_rows' in write) ourWrites.splice(index, write._omitted_rows);
    else written.push(write);
  });
  const left = histories(ourWrites);
  const right = histories(written);
  const found: Difference[] = [];
  const host = (values: Record<string, unknown>): unknown =>
    anyHost ? JSON.parse(JSON.stringify(values).replace(/"cloud[12]"/g, '"cloudN"')) : values;
  const columns = ({ set = {} }: Write): string[] => Object.keys(set).sort();
  const label = (write: Write): string =>
    write.op === 'update'
      ? `update(${columns(write)
          .filter((column) => column !== 'updated_at')
          .join(' ')})`
      : write.op;
  for (const row of new Set([...right.keys(), ...left.keys()])) {
    for (const [mine, theirs] of aligned(left.get(row) ?? [], right.get(row) ?? [], label)) {
      const what = `row ${row}: ${label((mine ?? theirs)!)}`;
      if (mine === undefined || theirs === undefined) {
        found.push({ what, ours: shown(mine?.set ?? mine?.op), original: shown(theirs?.set ?? theirs?.op) });
      } else {
        const now = { ...mine.set };
        const then = { ...theirs.set };
        if (mine.sameMoment && now['updated_at'] === undefined) delete then['updated_at'];
        found.push(...differences(what, ...([now, then].map(host) as [unknown, unknown])));
      }
    }
  }
  return found;
}

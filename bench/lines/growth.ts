import { BenchClient } from '../client.js';
import { BenchCloud } from '../cloud.js';
import type { Bench, Figure, Measurement } from '../figure.js';
import { median } from '../median.js';

const otherProject = 'others';
/** Instances of one of the hosts which hold what is there already. */
const perHost = 100;
/** Calls which are measured, and before them calls which warm up programs and caches: of the empty cloud and the full one alike. */
const rounds = 100;
const warmUp = 150;

/** What single calls cost in a cloud which has been used for years, compared with an empty one. */
export const growth: Measurement = {
  name: 'growth',
  summary: 'single calls with 100,000 live instances and 1,000,000 deleted rows, compared with an empty cloud',
  async run(bench) {
    const cloud = await BenchCloud.start(bench.servers);
    try {
      const empty = await measure(bench, cloud);
      const [live, deleted] = bench.quick ? [5000, 20_000] : [100_000, 1_000_000];
      bench.say(`filling in ${live} live instances and ${deleted} deleted rows`);
      await fill(cloud, live, deleted);
      const full = await measure(bench, cloud);
      return [...empty].map(([what, before]): Figure => {
        const after = full.get(what)!;
        const note = `${before.toFixed(1)} ms empty, ${after.toFixed(1)} ms full`;
        return { what: `growth: ${what}`, measured: after / before, unit: ' times', most: 1.5, note };
      });
    } finally {
      await cloud.stop();
    }
  },
};

/** Median milliseconds of each call, one at a time, once everything is warm. */
async function measure(bench: Bench, cloud: BenchCloud): Promise<Map<string, number>> {
  const divisor = bench.quick ? 10 : 1;
  await timesOf(cloud, warmUp / divisor);
  return new Map([...(await timesOf(cloud, rounds / divisor))].map(([what, all]) => [what, median(all)]));
}

async function timesOf(cloud: BenchCloud, count: number): Promise<Map<string, number[]>> {
  const client = new BenchClient(cloud.environment);
  const times = new Map<string, number[]>();
  const timed = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    const startedAt = performance.now();
    await work();
    times.set(what, [...(times.get(what) ?? []), performance.now() - startedAt]);
  };
  for (let round = 0; round < count; round += 1) {
    let id = '';
    await timed('RunInstances until it runs', async () => {
      [id = ''] = await client.runInstances();
      await running(cloud, id);
    });
    await timed('DescribeInstances of one id', () => client.call('DescribeInstances', { 'InstanceId.1': id }));
    let address = '';
    await timed('AllocateAddress', async () => {
      address = /<publicIp>([^<]*)/.exec(await client.call('AllocateAddress'))?.[1] ?? '';
    });
    await client.call('ReleaseAddress', { PublicIp: address });
    await client.call('TerminateInstances', { 'InstanceId.1': id });
  }
  client.close();
  return times;
}

async function running(cloud: BenchCloud, ec2Id: string): Promise<void> {
  const id = parseInt(ec2Id.slice(2), 16);
  for (;;) {
    const [row] = await cloud.rows<{ vm_state: string }>('SELECT vm_state FROM instances WHERE id = $1', [id]);
    if (row?.vm_state === 'active') return;
    if (row?.vm_state === 'error') throw new Error(`${ec2Id} failed`);
  }
}

/** Rows as years leave them: a hundred live instances on each of many hosts, with addresses, and what is deleted. */
async function fill(cloud: BenchCloud, live: number, deleted: number): Promise<void> {
  const insert = async (isDeleted: boolean, count: number): Promise<void> => {
    await cloud.rows(
      'INSERT INTO instances (deleted, deleted_at, created_at, updated_at, user_id, project_id, image_ref, vm_state, ' +
        'power_state, vcpus, memory_mb, local_gb, host, uuid, reservation_id, instance_type_id, hostname, display_name, ' +
        "launch_index) SELECT $1::boolean, CASE WHEN $1 THEN now() - interval '30 days' END, now() - interval '60 days', " +
        "now() - interval '30 days', $2::text, $2::text, '1', CASE WHEN $1 THEN 'deleted' ELSE 'active' END, 1, 1, 512, 0, " +
        "'old' || (g / $3::int), md5(g::text || $1::text), 'r-' || g, 2, 'old-' || g, 'old-' || g, 0 " +
        'FROM generate_series(1, $4::int) g',
      [isDeleted, otherProject, perHost, count],
    );
  };
  await insert(false, live);
  // of a million deleted rows half are instances, half what hung on them
  await insert(true, Math.floor(deleted / 2));
  await cloud.rows(
    'INSERT INTO security_group_instance_association (deleted, created_at, security_group_id, instance_id) ' +
      'SELECT deleted, created_at, 1, id FROM instances WHERE project_id = $1',
    [otherProject],
  );
  await cloud.rows(
    'INSERT INTO fixed_ips (deleted, created_at, address, network_id, instance_id, allocated, leased, reserved) ' +
      "SELECT false, now(), '172.16.0.0'::inet + row_number() OVER (ORDER BY id) || '', 1, id, true, false, false " +
      'FROM instances WHERE project_id = $1 AND NOT deleted',
    [otherProject],
  );
  await cloud.rows(
    'INSERT INTO virtual_interfaces (deleted, created_at, address, network_id, instance_id, uuid) ' +
      'SELECT false, now(), id::text, 1, id, uuid FROM instances WHERE project_id = $1 AND NOT deleted',
    [otherProject],
  );
  await cloud.rows('ANALYZE');
}

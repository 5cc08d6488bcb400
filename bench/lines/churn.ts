import { readdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { CloudWatch } from '../../test/support/cloudWatch.js';
import { whatIsWrong } from '../../test/support/invariants.js';
import { BenchCloud } from '../cloud.js';
import type { Bench, Figure, Measurement } from '../figure.js';
import { Lives } from '../lives.js';

/** New instances a second, and how long each lives: about a hundred at any time. */
const rate = 5;
const lifeSeconds = 20;
/** More at a time and no new one begins: the machine is too busy for the rate. */
const mostAlive = 250;
const sampleEveryMs = 10_000;
/** What may come on top between the first and the last fifth after the warm-up: a share, and megabytes for the noise. */
const share = 0.1;
const noise = 5;

/** Minutes of warm-up in a run of so many. */
const warmUpOf = (minutes: number): number => Math.min(10, minutes / 3);

/** Instances come and go for as long as asked: whether memory stays, and nothing is left behind. */
export const churn: Measurement = {
  name: 'churn',
  summary: 'memory of five processes while instances come and go, for --minutes; errors, and what is left behind',
  async run(bench) {
    const cloud = await BenchCloud.start(bench.servers);
    try {
      // on a busy machine lives last longer, and hold more of them
      await cloud.processes.manage('floating', 'create', '4.4.8.0/24');
      return await measured(bench, cloud);
    } finally {
      await cloud.stop();
    }
  },
};

/** What the daemons had at a time. */
interface Sample {
  readonly minute: number;
  readonly memory: ReadonlyMap<string, number>;
  readonly files: ReadonlyMap<string, number>;
}

async function measured(bench: Bench, cloud: BenchCloud): Promise<Figure[]> {
  const queuesBefore = await queues(cloud);
  const lives = new Lives(cloud.environment, lifeSeconds * 1000, (line) => bench.say(line));
  const startedAt = performance.now();
  const minute = (): number => (performance.now() - startedAt) / 60_000;
  const samples: Sample[] = [];
  const sampler = setInterval(() => {
    samples.push({ minute: minute(), memory: residentOf(cloud), files: filesOf(cloud) });
    const perMinute = Math.round(60_000 / sampleEveryMs);
    if (samples.length % perMinute === 0) bench.say(progress(samples.at(-1)!, lives));
  }, sampleEveryMs);
  let heldBack = 0;
  for (let tick = 0; minute() < bench.minutes; tick += 1) {
    if (lives.alive < mostAlive) lives.begin();
    else heldBack += 1;
    await pause(Math.max(0, startedAt + ((tick + 1) * 1000) / rate - performance.now()));
  }
  clearInterval(sampler);
  bench.say('waiting for the last ones to go');
  await lives.ended();
  const left = await leftBehind(cloud, queuesBefore);
  const note = `${lives.calls} calls` + (heldBack === 0 ? '' : `; ${heldBack} not begun, as the machine was busy`);
  return [
    ...growthOf(samples, bench.minutes),
    {
      what: `churn: errors in ${bench.minutes} min`,
      measured: lives.errors.length,
      unit: '',
      most: 0,
      note: [`${lives.begun} instances`, note, ...lives.errors.slice(0, 3)].join('; '),
    },
    { what: 'churn: left behind', measured: left.length, unit: '', most: 0, note: left.slice(0, 5).join('; ') },
  ];
}

function residentOf(cloud: BenchCloud): Map<string, number> {
  return new Map(cloud.memory().map(({ binary, megabytes }) => [binary, megabytes]));
}

/** Open files and sockets of each daemon. */
function filesOf(cloud: BenchCloud): Map<string, number> {
  return new Map(
    cloud.memory().map(({ binary }) => [binary, readdirSync(`/proc/${cloud.processes.daemon(binary).pid}/fd`).length]),
  );
}

function progress({ minute, memory }: Sample, lives: Lives): string {
  const daemons = [...memory].map(([binary, megabytes]) => `${binary} ${megabytes} MB`).join(', ');
  return `minute ${minute.toFixed(0)}: ${lives.begun} begun, ${lives.alive} alive, ${lives.errors.length} errors; ${daemons}`;
}

/** A line for each daemon: how much more it holds in the last fifth than in the first after the warm-up. */
function growthOf(samples: readonly Sample[], minutes: number): Figure[] {
  const warm = samples.filter(({ minute }) => minute >= warmUpOf(minutes));
  const fifth = Math.ceil(warm.length / 5);
  const [first, last] = [warm.slice(0, fifth), warm.slice(-fifth)];
  if (first.length === 0) throw new Error(`${minutes} minutes are too short to see memory grow`);
  return [...first[0]!.memory.keys()].map((binary) => {
    const resident = ({ memory }: Sample): number => memory.get(binary)!;
    const files = ({ files: open }: Sample): number => open.get(binary)!;
    const [before, after] = [mean(first.map(resident)), mean(last.map(resident))];
    const perHour = slope(warm.map((sample) => [sample.minute / 60, resident(sample)]));
    return {
      what: `churn: memory of ${binary} grew in ${minutes} min by`,
      measured: after - before,
      unit: ' MB',
      most: Math.round(before * share + noise),
      note:
        `${before.toFixed(0)} MB after ${warmUpOf(minutes).toFixed(1)} min, ${after.toFixed(0)} MB at the end, ` +
        `slope ${perHour.toFixed(1)} MB/h; open files ${mean(first.map(files)).toFixed(0)}, then ${mean(last.map(files)).toFixed(0)}`,
    };
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of the straight line which fits the points best. */
function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const [middleX, middleY] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const over = points.reduce((sum, [x, y]) => sum + (x - middleX) * (y - middleY), 0);
  return over / points.reduce((sum, [x]) => sum + (x - middleX) ** 2, 0);
}

/** Names of the queues, without those of replies, which are kept for later calls. */
async function queues(cloud: BenchCloud): Promise<Map<string, number>> {
  const { broker, vhost } = cloud.processes;
  const rows = await broker.list('queues', vhost, ['name', 'messages']);
  return new Map(
    rows
      .map((row): [string, number] => [String(row['name']), Number(row['messages'])])
      .filter(([name]) => !/^[0-9a-f]{32}$/.test(name)),
  );
}

/** What nobody should hold once every instance, volume and address was given back. */
const leftovers: Readonly<Record<string, string>> = {
  'live instances': 'SELECT id FROM instances WHERE NOT deleted',
  'held fixed addresses': 'SELECT id FROM fixed_ips WHERE instance_id IS NOT NULL OR allocated',
  'held floating addresses': 'SELECT id FROM floating_ips WHERE project_id IS NOT NULL OR fixed_ip_id IS NOT NULL',
  'virtual interfaces': 'SELECT id FROM virtual_interfaces WHERE NOT deleted',
  volumes: 'SELECT id FROM volumes WHERE NOT deleted',
  'claimed targets': 'SELECT id FROM iscsi_targets WHERE volume_id IS NOT NULL',
  'block device mappings': 'SELECT id FROM block_device_mapping WHERE NOT deleted',
  'group memberships': 'SELECT id FROM security_group_instance_association WHERE NOT deleted',
};

async function leftBehind(cloud: BenchCloud, queuesBefore: ReadonlyMap<string, number>): Promise<string[]> {
  const left: string[] = [];
  for (const [what, sql] of Object.entries(leftovers)) {
    const rows = await cloud.rows(sql);
    if (rows.length > 0) left.push(`${rows.length} ${what}`);
  }
  const watch = new CloudWatch(cloud.processes);
  left.push(...(await whatIsWrong(watch)));
  await watch.end();
  for (const [name, messages] of await queues(cloud)) {
    if (!queuesBefore.has(name)) left.push(`queue ${name}`);
    else if (messages > 0) left.push(`${messages} messages in ${name}`);
  }
  const loud = cloud.processes.output().match(/^.* (?:ERROR|CRITICAL) .*$/gm) ?? [];
  return [...left, ...loud.slice(0, 20).map((line) => `logged: ${line.slice(0, 200)}`)];
}

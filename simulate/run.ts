import { SimulatedCloud } from './cloud.js';
import { Injector } from './faults/injector.js';
import { problemsOf } from './invariants/index.js';
import { users as people, type Plan } from './plan.js';
import { SimulatedUsers } from './users/users.js';
import type { World } from './world.js';

/** What came of one run. */
export interface Outcome {
  seed: number;
  /** What does not hold; empty when all is well. */
  problems: string[];
  /** SHA-256 of the log. */
  digest: string;
  lines: number;
  /** The newest lines of the log. */
  tail: readonly string[];
  /** Number of answers by what they said. */
  outcomes: Readonly<Record<string, number>>;
  /** Milliseconds of the world's time. */
  age: number;
}

/** Milliseconds: what is broken when everything is put right takes so long at most; after that things come to rest. */
const quietMs = 120_000;
const checkEveryMs = 30_000;
/** How long it may take until everything has come to rest. */
const restWithinMs = 600_000;
const rounds = 8;
/** All that comes after the users takes less than a day. */
const afterwardsMs = 24 * 3600_000;

/** Runs what a plan says to its end, and tells what does not hold then. The same plan gives the same log. */
export async function runPlan(plan: Plan, onLine?: (line: string) => void): Promise<Outcome> {
  const cloud = new SimulatedCloud({ seed: plan.seed, setting: plan.setting, onLine });
  const problems: string[] = [];
  let users: SimulatedUsers | undefined;
  const life = async (): Promise<void> => {
    cloud.log.note(`SEED ${plan.seed} ${JSON.stringify(plan.setting)}`);
    await cloud.start();
    users = new SimulatedUsers(cloud, plan.setting.theme);
    problems.push(...(await liveThrough(cloud, users, plan)));
    if (problems.length > 0) return;
    for (const name of await cloud.stop()) problems.push(`the end: ${name} did not stop when it was told to`);
  };
  const forget = watchProcess(cloud.world);
  try {
    await cloud.world.run(life(), plan.endMs + afterwardsMs);
  } catch (error) {
    problems.push(`the world ended: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  } finally {
    await cloud.close();
    forget();
  }
  return {
    seed: plan.seed,
    problems,
    digest: cloud.log.digest,
    lines: cloud.log.count,
    tail: cloud.log.lines,
    outcomes: Object.fromEntries([...(users?.outcomes ?? [])].sort()),
    age: cloud.world.age,
  };
}

/** What would end a daemon's process ends the world: as a problem of this run, which can be told of and shortened. */
function watchProcess(world: World): () => void {
  const onError = (reason: unknown): void =>
    world.breakOff(reason instanceof Error ? reason : new Error(String(reason)));
  process.on('unhandledRejection', onError).on('uncaughtException', onError);
  return () => void process.off('unhandledRejection', onError).off('uncaughtException', onError);
}

async function liveThrough(cloud: SimulatedCloud, users: SimulatedUsers, plan: Plan): Promise<string[]> {
  const { world } = cloud;
  const injector = new Injector(cloud);
  injector.schedule(plan.faults);
  for (const step of plan.steps) world.after(step.at, () => void users.take(step));
  await world.sleep(plan.endMs);
  injector.heal();
  const problems = await comeToRest(cloud, users);
  if (problems.length > 0) return problems;
  return giveBack(cloud, users);
}

/** Waits until every invariant holds, and still does a while later; answers what does not hold in the end. */
async function comeToRest(cloud: SimulatedCloud, users: SimulatedUsers): Promise<string[]> {
  await cloud.world.sleep(quietMs);
  const end = cloud.world.age + restWithinMs;
  for (let held = 0; ;) {
    const problems = await problemsOf(cloud, users, false);
    held = problems.length === 0 ? held + 1 : 0;
    if (held === 2) return [];
    if (cloud.world.age > end) return problems;
    await cloud.world.sleep(checkEveryMs);
  }
}

/** The users get rid of all that they have, and try again what fails; answers what is left, and what does not hold. */
async function giveBack(cloud: SimulatedCloud, users: SimulatedUsers): Promise<string[]> {
  for (let round = 0; round < rounds; round++) {
    cloud.log.note(`USER everything back, round ${round + 1}`);
    for (const [action, parameter, ids] of await belongings(cloud)) {
      for (const [project, id] of ids) {
        const user = people.findIndex((one) => one.project === project);
        await users.call(user, action, { [parameter]: id });
      }
    }
    await cloud.world.sleep(2 * checkEveryMs);
    if ((await problemsOf(cloud, users, true)).length === 0) return [];
  }
  await cloud.world.sleep(restWithinMs / 2);
  return problemsOf(cloud, users, true);
}

type Id = readonly [project: string | null, id: string];

/** What is there still, and how to get rid of it. */
async function belongings(cloud: SimulatedCloud): Promise<[action: string, parameter: string, ids: Id[]][]> {
  const rows = async (table: string, prefix: string): Promise<Id[]> => {
    const found = await cloud.db.all<{ id: number; project_id: string | null }>(
      `SELECT id, project_id FROM ${table} WHERE deleted = ? ORDER BY id`,
      [false],
    );
    return found.map((row) => [row.project_id, `${prefix}-${row.id.toString(16).padStart(8, '0')}`]);
  };
  const floating = await cloud.db.all<{ address: string; project_id: string }>(
    'SELECT address, project_id FROM floating_ips WHERE project_id IS NOT NULL AND deleted = ? ORDER BY id',
    [false],
  );
  const addresses = floating.map((row): Id => [row.project_id, row.address]);
  return [
    ['TerminateInstances', 'InstanceId.1', await rows('instances', 'i')],
    ['DisassociateAddress', 'PublicIp', addresses],
    ['ReleaseAddress', 'PublicIp', addresses],
    ['DetachVolume', 'VolumeId', await rows('volumes', 'vol')],
    ['DeleteSnapshot', 'SnapshotId', await rows('snapshots', 'snap')],
    ['DeleteVolume', 'VolumeId', await rows('volumes', 'vol')],
  ];
}

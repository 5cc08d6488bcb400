import { troubledMethods, type DriverTrouble } from './faults/drivers.js';
import { SeededRandom } from './seededRandom.js';

/** What the users of a run have most to do with. */
export const themes = ['everything', 'instances', 'volumes', 'addresses', 'groups'] as const;
export type Theme = (typeof themes)[number];

/** The cloud which a seed chooses. */
export interface Setting {
  computeHosts: number;
  volumeHosts: number;
  networkHosts: number;
  networkManager: 'FlatManager' | 'FlatDHCPManager';
  scheduler: 'simple.SimpleScheduler' | 'chance.ChanceScheduler';
  /** Addresses of the network, a power of two. */
  networkSize: number;
  floatingAddresses: number;
  /** Milliseconds which a machine takes to start. */
  spawnMs: number;
  /** What users mostly ask for. */
  theme: Theme;
}

/** What one user asks for, and when. `seed` determines what it is, together with what there is at that time. */
export interface Step {
  /** Milliseconds since the users began. */
  at: number;
  user: number;
  seed: number;
}

/**
 * How a statement fails: a deadlock; the connection breaks, before or after the statement was carried out; the disk is
 * full; or for no reason which anybody knows.
 */
export type DatabaseTrouble = 'conflict' | 'lost before' | 'lost after' | 'hopeless' | 'other';
/**
 * Something which breaks. `at`: milliseconds since the users began; `daemon`: `nova-compute@cloud1`; `after`: so many
 * operations of the outside later; `commits`: of them only COMMIT counts; `method`: of the driver, null for whichever is called next.
 */
export type Fault = { at: number } & (
  | { kind: 'crash'; daemon: string; after: number; when: 'before' | 'after'; downMs: number }
  | { kind: 'stop'; daemon: string; downMs: number }
  | { kind: 'pause'; daemon: string; ms: number }
  | { kind: 'power'; host: string; downMs: number }
  | { kind: 'lost host'; host: string }
  | { kind: 'database'; daemon: string; after: number; how: DatabaseTrouble; times: number; commits: boolean }
  | { kind: 'database away'; ms: number }
  | { kind: 'disconnect'; daemon: string; ms: number }
  | { kind: 'unconfirmed'; daemon: string; delivered: boolean; ms: number }
  | { kind: 'broker restart'; ms: number }
  | { kind: 'slow bus'; ms: number; most: number }
  | { kind: 'driver'; daemon: string; method: string | null; how: DriverTrouble; times: number; ms: number }
  | { kind: 'clock'; host: string; byMs: number }
);

/** All that happens from outside in one run. */
export interface Plan {
  seed: number;
  setting: Setting;
  steps: Step[];
  faults: Fault[];
  /** Milliseconds after which the users have ended and everything is put right again. */
  endMs: number;
}

/** Users and the projects they belong to. */
export const users = [
  { id: 'ann', project: 'red' },
  { id: 'bob', project: 'red' },
  { id: 'cid', project: 'blue' },
] as const;

/** The names of the daemons of a setting, in the order of their start. */
export function daemonsOf(setting: Setting): string[] {
  const names = ['nova-api@cloud1', 'nova-network@cloud1', 'nova-volume@cloud1', 'nova-scheduler@cloud1'];
  if (setting.networkHosts > 1) names.push('nova-network@cloud2');
  if (setting.volumeHosts > 1) names.push('nova-volume@cloud2');
  names.push('nova-scheduler@cloud2');
  for (let host = 1; host <= setting.computeHosts; host++) names.push(`nova-compute@cloud${host}`);
  return names;
}

/** What a seed stands for. */
export function planOf(seed: number, count: number): Plan {
  const random = new SeededRandom(seed);
  const setting = settingOf(random.fork());
  const clock = random.fork();
  const gapMs = clock.pick([200, 700, 1500, 3000]);
  let at = 0;
  let what = { user: 0, seed: 0 };
  const steps = Array.from({ length: count }, (): Step => {
    // Some ask at the very same time as others, and some for the same thing once more.
    if (clock.below(3) > 0) at += clock.below(2 * gapMs);
    if (clock.below(8) > 0) what = { user: clock.below(users.length), seed: clock.below(2 ** 32) };
    return { at, ...what };
  });
  const faults = faultsOf(random.fork(), setting, count, at);
  return { seed, setting, steps, faults, endMs: at + 5000 };
}

function settingOf(random: SeededRandom): Setting {
  return {
    computeHosts: 1 + random.below(3),
    volumeHosts: 1 + random.below(2),
    networkHosts: 1 + random.below(2),
    networkManager: random.pick(['FlatManager', 'FlatManager', 'FlatDHCPManager']),
    scheduler: random.pick(['simple.SimpleScheduler', 'simple.SimpleScheduler', 'chance.ChanceScheduler']),
    networkSize: random.pick([8, 16, 64]),
    floatingAddresses: random.pick([2, 5, 8]),
    spawnMs: random.pick([1, 300, 2000, 10_000]),
    theme: random.pick(themes),
  };
}

/** One seed of eight has no faults at all: what goes wrong there goes wrong by itself. */
function faultsOf(random: SeededRandom, setting: Setting, steps: number, duration: number): Fault[] {
  const most = random.pick([0, 1, 2, 4, 4, 8, 8, 16]);
  const count = Math.min(most, Math.ceil(steps / 3));
  const when = (): number => random.below(duration + 1);
  const faults = Array.from({ length: count }, () => faultOf(random.fork(), setting, when()));
  const more = count === 0 ? 0 : random.below(4);
  const drivers = Array.from({ length: more }, () => driverFault(random.fork(), setting, when()));
  return [...faults, ...drivers].sort((a, b) => a.at - b.at);
}

/** What drivers are asked for by a theme's requests. */
const methodsOfTheme: Readonly<Record<Theme, RegExp>> = {
  everything: /./,
  instances: /^(spawn|destroy|reboot|rescue|unrescue|snapshot|setUpNetwork|updateDhcp)$/,
  volumes: /Volume|Snapshot|Export/,
  addresses: /FloatingIp|FloatingForward|spawn|destroy/,
  groups: /^(spawn|destroy|reboot)$/,
};

/** A driver, and which of its methods; null for whichever is called next. */
function driverOf(random: SeededRandom, setting: Setting): { daemon: string; method: string | null } {
  const pairs = daemonsOf(setting).flatMap((daemon) =>
    (troubledMethods[daemon.split('@')[0]!] ?? []).map((method) => ({ daemon, method })),
  );
  const asked = pairs.filter(({ method }) => methodsOfTheme[setting.theme].test(method));
  const { daemon, method } = random.pick(random.below(3) === 0 ? pairs : asked);
  return { daemon, method: random.below(4) === 0 ? null : method };
}

function driverFault(random: SeededRandom, setting: Setting, at: number): Fault {
  return {
    at,
    kind: 'driver',
    ...driverOf(random, setting),
    how: random.pick(['fail before', 'fail after', 'fail after', 'hang', 'stuck', 'slow']),
    times: 1 + random.below(4),
    ms: random.pick([3000, 20_000, 90_000]),
  };
}

function databaseFault(random: SeededRandom, daemon: string, at: number): Fault {
  // Few statements are COMMITs, and those are where most can go wrong.
  const commits = random.below(2) === 0;
  return {
    at,
    kind: 'database',
    daemon,
    after: random.below(commits ? 5 : 30),
    how: random.pick(['conflict', 'lost before', 'lost after', 'lost after', 'hopeless', 'other']),
    // A commit which fails more often than it is tried is beyond any daemon.
    times: random.pick([1, 1, 2, commits ? 8 : 12]),
    commits,
  };
}

function faultOf(random: SeededRandom, setting: Setting, at: number): Fault {
  const names = daemonsOf(setting);
  const daemon = random.pick(names);
  const hosts = [...new Set(names.map((name) => name.split('@')[1]!))];
  const host = random.pick(hosts);
  const briefly = random.pick([200, 200, 3000, 3000, 20_000, 90_000]);
  // The first host has the API, and what there is but once; a network with DHCP is bound to its host.
  const bound = setting.networkManager === 'FlatDHCPManager';
  const mayBurn = hosts.slice(1).filter((name) => !bound || !names.includes(`nova-network@${name}`));
  const crash = (most: number): Fault => {
    const when = random.pick(['before', 'after'] as const);
    return { at, kind: 'crash', daemon, after: random.below(most), when, downMs: briefly };
  };
  const kinds: readonly (() => Fault)[] = [
    () => crash(60),
    () => crash(25),
    () => crash(8),
    () => ({ at, kind: 'stop', daemon, downMs: briefly }),
    () => ({ at, kind: 'pause', daemon, ms: random.pick([briefly, briefly, 300_000]) }),
    () => ({ at, kind: 'power', host, downMs: random.pick([3000, 60_000, 300_000]) }),
    () => (mayBurn.length > 0 ? { at, kind: 'lost host', host: random.pick(mayBurn) } : crash(100)),
    () => databaseFault(random, daemon, at),
    () => databaseFault(random, daemon, at),
    () => ({ at, kind: 'database away', ms: random.pick([200, 1500, 10_000]) }),
    () => ({ at, kind: 'disconnect', daemon, ms: briefly }),
    () => ({ at, kind: 'unconfirmed', daemon, delivered: random.pick([true, false]), ms: briefly }),
    () => ({ at, kind: 'broker restart', ms: random.pick([200, 3000, 40_000]) }),
    () => ({ at, kind: 'slow bus', ms: 20_000, most: random.pick([500, 3000, 15_000]) }),
    () => driverFault(random, setting, at),
    () => ({ at, kind: 'clock', host, byMs: random.pick([-3_600_000, -40_000, -3000, 3000, 40_000, 400_000]) }),
  ];
  return random.pick(kinds)();
}

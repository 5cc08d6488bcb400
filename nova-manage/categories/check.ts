import { adminContext } from '../../common/context.js';
import { schemaVersion } from '../../common/db/sync.js';
import { listServices, serviceIsUp } from '../../common/db/services.js';
import { errorText } from '../../common/errors.js';
import { registry, registered, type RegistryFlag } from '../../common/registry.js';
import { parseTime } from '../../common/time.js';
import type { Category, Command, ManageEnvironment } from '../command.js';

/** Answers what is well; throws what is wrong, as a sentence which says what to do. */
interface Check {
  readonly name: string;
  run(environment: ManageEnvironment): Promise<string>;
}

/** Clocks may differ by this much before hosts take each other for dead. */
const largestSkewSeconds = 5;

const checks: readonly Check[] = [
  {
    name: 'flags',
    async run({ runtime }) {
      const wrong = (Object.keys(registry) as RegistryFlag[]).flatMap((flag) => {
        const value = runtime.flags[flag];
        return (Array.isArray(value) ? (value as string[]) : [value as string]).flatMap((name) => {
          try {
            registered(flag, name);
            return [];
          } catch (error) {
            return [errorText(error)];
          }
        });
      });
      if (wrong.length > 0) throw new Error(wrong.join('\n'));
      return 'every driver and manager which they name is there';
    },
  },
  {
    name: 'database',
    async run(environment) {
      const version = await schemaVersion(await environment.rawDatabase());
      if (version !== 46) {
        throw new Error(`the schema is at version ${version ?? 'none'}, 46 is needed: run nova-manage db sync`);
      }
      return 'reached, and at version 46';
    },
  },
  {
    name: 'broker',
    async run(environment) {
      if (environment.runtime.flags.fake_rabbit) return 'the bus inside nova-all, which cannot be tried from outside';
      const rpc = await environment.rpc();
      const hosts = await rpc.scheduler.call.get_host_list(adminContext(environment.runtime), {}, { timeout: 10 });
      return `reached, and nova-scheduler answers (it knows ${hosts.length} hosts)`;
    },
  },
  {
    name: 'services',
    async run(environment) {
      const { clock, flags } = environment.runtime;
      const services = await listServices(await environment.database());
      if (services.length === 0) throw new Error('none has ever started: start the daemons');
      const down = services.filter((row) => !row.disabled && !serviceIsUp(row, clock.now(), flags.service_down_time));
      if (down.length > 0) {
        const names = down.map((row) => `${row.binary} on ${row.host} (last seen ${row.updated_at ?? 'never'})`);
        throw new Error(`${names.join(', ')}: no sign of life for ${flags.service_down_time} seconds`);
      }
      const absent = ['nova-compute', 'nova-network', 'nova-scheduler', 'nova-volume'].filter(
        (binary) => !services.some((row) => row.binary === binary),
      );
      if (absent.length > 0) throw new Error(`${absent.join(', ')} never started on this database`);
      return `${services.length} known, each which is enabled is up`;
    },
  },
  {
    name: 'clocks',
    async run(environment) {
      const { clock, flags } = environment.runtime;
      const now = clock.now();
      const services = await listServices(await environment.database());
      const ahead = services
        .map((row) => ({ row, seconds: (parseTime(row.updated_at ?? row.created_at ?? '') - now) / 1000 }))
        .filter(({ seconds }) => seconds > largestSkewSeconds);
      if (ahead.length > 0) {
        const names = ahead.map(({ row, seconds }) => `${row.host} by ${Math.round(seconds)} s`);
        throw new Error(
          `ahead of this host: ${[...new Set(names)].join(', ')}; synchronize them (service_down_time is ${flags.service_down_time} s)`,
        );
      }
      return 'no other host is ahead of this one';
    },
  },
  {
    name: 'images',
    async run(environment) {
      const images = await environment.images().detail(adminContext(environment.runtime));
      return `the registry answers and has ${images.length} images`;
    },
  },
];

const check: Command = {
  summary: 'Tries flags, database, broker, services, clocks and image registry, and says what is wrong.',
  arguments: [],
  async run(environment) {
    let failed = 0;
    for (const { name, run } of checks) {
      try {
        environment.print(`ok      ${name}: ${await run(environment)}`);
      } catch (error) {
        failed += 1;
        for (const line of errorText(error).split('\n')) environment.print(`FAILED  ${name}: ${line}`);
      }
    }
    return failed === 0 ? 0 : 1;
  },
};

/** `nova-manage check`, of our own. */
export const checkCategory: Category = { commands: { all: check }, onCategory: check };

import { parseArgs } from 'node:util';
import { benchFlags, Servers } from './cloud.js';
import { passes, type Figure, type Measurement } from './figure.js';
import { churn } from './lines/churn.js';
import { embedded } from './lines/embedded.js';
import { growth } from './lines/growth.js';
import { instances } from './lines/instances.js';
import { keyPairs } from './lines/keyPairs.js';
import { recovery } from './lines/recovery.js';
import { rpc } from './lines/rpc.js';
import { scheduler } from './lines/scheduler.js';
import { start } from './lines/start.js';
import { StolenTime } from './stolen.js';
import { head, table } from './table.js';

const measurements: readonly Measurement[] = [
  start,
  instances,
  keyPairs,
  rpc,
  scheduler,
  growth,
  embedded,
  recovery,
  churn,
];

/** Of churn; an hour of it is for who asks. */
const defaultMinutes = 2;

const usage = `Usage: npm run bench -- [--quick] [--minutes=N] [MEASUREMENT…]

Measures the product on a PostgreSQL and a RabbitMQ of its own and prints a table. Without a name all are measured:

${measurements.map(({ name, summary }) => `  ${name.padEnd(12)}${summary}`).join('\n')}

  --quick     a tenth of the work: to see that it runs, the figures mean little
  --minutes   how long churn lasts: ${defaultMinutes} when absent, 60 to know whether memory is flat
  --help      this text
`;

const options = { help: { type: 'boolean' }, quick: { type: 'boolean' }, minutes: { type: 'string' } } as const;
type Parsed = ReturnType<typeof parseArgs<{ allowPositionals: true; options: typeof options }>>;

/** Undefined when they make no sense, which is said then. */
function readArgs(args: readonly string[]): Parsed | undefined {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options });
  } catch (error) {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n${usage}`);
    return undefined;
  }
}

/** Runs the measurements one after the other; answers the exit status: 0 when every promise is kept. */
async function main(args: readonly string[]): Promise<number> {
  const parsed = readArgs(args);
  if (parsed === undefined) return 2;
  const { values, positionals } = parsed;
  const unknown = positionals.filter((name) => !measurements.some((one) => one.name === name));
  if (values.help === true || unknown.length > 0) {
    if (unknown.length > 0) process.stderr.write(`bench: there is no measurement ${unknown.join(', ')}\n`);
    (unknown.length > 0 ? process.stderr : process.stdout).write(usage);
    return unknown.length > 0 ? 2 : 0;
  }
  const minutes = Number(values.minutes ?? defaultMinutes);
  if (!(minutes >= 1)) {
    process.stderr.write(`bench: --minutes=${values.minutes} is not a number of 1 or more\n`);
    return 2;
  }
  const chosen = measurements.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  const say = (line: string): void => void process.stderr.write(`bench: ${line}\n`);
  const servers = new Servers();
  const figures: Figure[] = [];
  const stolen = new StolenTime();
  try {
    for (const measurement of chosen) {
      say(measurement.name);
      figures.push(...(await measurement.run({ servers, say, quick: values.quick ?? false, minutes })));
      stolen.note(measurement.name);
    }
  } finally {
    await servers.stop();
  }
  process.stdout.write(`${[...head(benchFlags, stolen.toString()), '', ...table(figures)].join('\n')}\n`);
  return figures.some((figure) => passes(figure) === false) ? 1 : 0;
}

process.exit(await main(process.argv.slice(2)));

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../../common/projectRoot.js';
import { type ClientRun, runClient, type TestCloud } from './cloud.js';

/** A client program and the script which drives it through the life of an instance or of a bucket. */
export interface Client {
  readonly name: string;
  /** A word which the names of all that its story makes begin with. */
  readonly word: string;
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Why the story can't be told on this machine. */
  readonly missing?: string;
}

/** What a story printed (test/clients/story.py says in which form). */
export interface Story {
  /** Name and version, as the client itself says them. */
  readonly client: string;
  readonly steps: readonly string[];
  /** `CODE: MESSAGE`, as the client shows them. */
  readonly refusals: readonly string[];
  readonly isDone: boolean;
}

const scripts = join(projectRoot(), 'test', 'clients');
const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'nova-tests');
const python2 = join(cache, 'python2.7');

/** A script of Python 3 or Ruby or the shell, with Debian's interpreter: its packages are not those of another one. */
export function script(name: string): string[] {
  const interpreters: Record<string, string> = { py: '/usr/bin/python3', rb: '/usr/bin/ruby', sh: '/bin/bash' };
  return [interpreters[name.split('.').at(-1)!]!, join(scripts, name)];
}

/** A script with a client (`boto-2.0`) of its day, which scripts/setup-tests.sh fetches where there is a Python 2.7. */
export function oldClient(client: string, name: string): Pick<Client, 'command' | 'environment' | 'missing'> {
  return {
    command: [python2, join(scripts, name)],
    environment: { PYTHONPATH: join(cache, client) },
    ...(existsSync(python2) ? {} : { missing: 'scripts/setup-tests.sh found no Python 2.7' }),
  };
}

/** For a story, and what is told before it, on a machine which is busy with other things. */
export const storyDeadlineMs = 900_000;

/** Runs a client's story on a cloud to its end. */
export function tell(client: Client, cloud: Pick<TestCloud, 'environment'>): Promise<ClientRun> {
  const further = { STORY: client.word, PYTHONDONTWRITEBYTECODE: '1', ...client.environment };
  return runClient(cloud, client.command, further, storyDeadlineMs);
}

/** Reads what a story printed. */
export function readStory(output: string): Story {
  const all = (kind: string): string[] =>
    [...output.matchAll(new RegExp(`^${kind}: (.*)$`, 'gm'))].map((match) => match[1]!.trim());
  return {
    client: all('client')[0] ?? '',
    steps: all('step'),
    refusals: all('refused'),
    isDone: /^done$/m.test(output),
  };
}

/** A line of the table: one client on all clouds. */
export interface Row {
  readonly name: string;
  readonly story: Story;
  /** By the cloud's name. */
  readonly results: ReadonlyMap<string, string>;
}

const mark = { begin: '<!-- written by the tests -->', end: '<!-- end of what the tests write -->' } as const;

/** The table of clients, as Markdown: `clouds` are its last columns. */
export function clientTable(rows: readonly Row[], clouds: readonly string[]): string {
  const head = ['Client', 'Version', 'What was run', 'Errors which it showed', ...clouds];
  const lines = rows.map(({ name, story, results }) => [
    name,
    story.client,
    story.steps.join(', '),
    [...new Set(story.refusals.map(plain))].map((text) => text.replace(/^(\w+): /, '`$1` ')).join('; '),
    ...clouds.map((cloud) => results.get(cloud) ?? 'not run'),
  ]);
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.map(cell).join(' | ')} |`).join('\n');
}

/** A refusal's text without what differs from run to run. */
function plain(refusal: string): string {
  return refusal
    .replaceAll('&quot;', '"')
    .replace(/\b(i|vol|snap|ami|sg)-[0-9a-f]{8}\b/g, '$1-…')
    .replace(/\b\d{1,3}(\.\d{1,3}){3}\b/g, '…');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** The table in a document. Throws when the document has no place for one. */
export function tableIn(path: string): string {
  const text = readFileSync(path, 'utf8');
  const [before, after] = around(text, path);
  return text.slice(before.length, text.length - after.length).trim();
}

/** Puts the table into the document. */
export function writeTable(path: string, table: string): void {
  const [before, after] = around(readFileSync(path, 'utf8'), path);
  writeFileSync(path, `${before}\n\n${table}\n\n${after}`);
}

/** What stands before and behind the table, each with its mark. */
function around(text: string, path: string): [string, string] {
  const [from, to] = [text.indexOf(mark.begin), text.indexOf(mark.end)];
  if (from === -1 || to < from) throw new Error(`${path} has no place for the table: ${mark.begin} … ${mark.end}`);
  return [text.slice(0, from + mark.begin.length), text.slice(to)];
}

/** The rows of a table by their first cell; of versions only the first two numbers, as patches don't change what a client sends. */
export function comparableRows(table: string): Map<string, string> {
  const rows = table.split('\n').slice(2);
  return new Map(
    rows.map((row) => {
      const cells = row.split(' | ');
      const version = (cells[1] ?? '').replace(/(\d+\.\d+)(\.\d+)+/g, '$1');
      return [cells[0]!.replace(/^\| /, ''), [version, ...cells.slice(2)].join(' | ')];
    }),
  );
}

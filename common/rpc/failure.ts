import { errorText, NovaError, RemoteError } from '../errors.js';
import type { Reply } from './transport.js';

type Failure = NonNullable<Reply['failure']>;

/** Names of Python's own classes which callers of 2011.3 see for faults in a message. */
const pythonNames: ReadonlySet<string> = new Set([
  'TypeError',
  'AttributeError',
  'IndexError',
  'KeyError',
  'ValueError',
]);
const mostFrames = 12;

/**
 * What crosses the wire of something thrown: class name, text and traceback. Errors of ours keep their name; any other
 * is `Error`, as nova/exception.py wrap_exception makes it, unless Python has a class of that name too.
 */
export function failureOf(error: unknown): Failure {
  const text = failureText(error);
  const name = failureClass(error);
  return [name, text, traceback(error, `${name}: ${text}\n`)];
}

function failureClass(error: unknown): string {
  if (error instanceof NovaError) return error.name;
  return error instanceof Error && pythonNames.has(error.name) ? error.name : 'Error';
}

/** The text; of a remote error with its traceback, which nova/rpc/common.py RemoteError puts into its own text. */
function failureText(error: unknown): string {
  if (!(error instanceof RemoteError)) return errorText(error);
  const lines = error.traceback.map(
    (line) => `u'${line.replace(/\\/g, '\\\\').replace(/'/g, "\\'").replace(/\n/g, '\\n')}'`,
  );
  return `${error.excType} ${error.value}\n[${lines.join(', ')}]`;
}

/** The frames in the form of Python's traceback.format_exception: oldest call first, every line ends in a newline. */
function traceback(error: unknown, lastLine: string): string[] {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const frames: string[] = [];
  for (const line of stack.split('\n')) {
    const match = /^\s+at (?:(?:async )?(.*?) \()?(?:async )?(?:file:\/\/)?([^()]+):(\d+):\d+\)?$/.exec(line);
    if (match === null || match[2]!.startsWith('node:') || match[2]!.includes('/node_modules/')) continue;
    frames.push(`  File "${match[2]}", line ${match[3]}, in ${match[1] ?? '<module>'}\n`);
    if (frames.length === mostFrames) break;
  }
  return ['Traceback (most recent call last):\n', ...frames.reverse(), lastLine];
}

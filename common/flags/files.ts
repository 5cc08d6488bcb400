/* eslint-disable no-restricted-imports -- `~` in a flag file's name is the user's home directory */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { StartupError } from '../errors.js';
import { flagDefinitions } from './flags.js';
import { resolveName } from './names.js';

/** Reads a text file; throws Node's errors. */
export type ReadText = (path: string) => string;

/** One option as it was given. */
export interface FlagLine {
  /** What stands between the dashes and `=`. */
  name: string;
  /** Null when there is no `=`. */
  value: string | null;
  /** `FILE line N`; null on the command line. */
  where: string | null;
}

export interface FlagFileContent {
  lines: FlagLine[];
  warnings: string[];
  files: string[];
}

/** The default flag files of a program in `folder` (nova 2011.3, nova/utils.py default_flagfile). */
export function defaultFlagFiles(folder: string): string[] {
  return [join(folder, 'nova.conf'), resolve('nova.conf'), '/etc/nova/nova.conf'];
}

/** The files to read: those named, or the first default which exists when no argument so much as contains `flagfile`. */
export function flagFilesOf(
  line: { argv: readonly string[]; defaultFiles?: readonly string[] },
  named: readonly string[],
): string[] {
  if (line.argv.some((word) => word.includes('flagfile'))) return [...named];
  const found = (line.defaultFiles ?? []).find((file) => existsSync(file));
  return found === undefined ? [] : [found];
}

/**
 * The options of a flag file and, at their places, of the files which it includes. A file which is met again is skipped
 * with a warning. Throws StartupError which names the file that cannot be read.
 */
export function readFlagFile(file: string, readText: ReadText = (path) => readFileSync(path, 'utf8')): FlagFileContent {
  const content: FlagFileContent = { lines: [], warnings: [], files: [] };
  readInto(content, file, readText, null);
  return content;
}

function readInto(content: FlagFileContent, name: string, readText: ReadText, includedAt: string | null): void {
  const file = resolve(name.replace(/^~(?=\/|$)/, homedir()));
  if (content.files.includes(file)) {
    content.warnings.push(`Warning: Hit circular flagfile dependency: ${name}`);
    return;
  }
  content.files.push(file);
  let text: string;
  try {
    text = readText(file);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartupError(
      `Unable to open flagfile ${name}${includedAt === null ? '' : ` (${includedAt})`}: ${reason}`,
    );
  }
  const lines = text.replace(/^\uFEFF/, '').split('\n');
  lines.forEach((line, index) => takeLine(content, line, `${file} line ${index + 1}`, readText));
}

function takeLine(content: FlagFileContent, line: string, where: string, readText: ReadText): void {
  const text = line.trim();
  if (text === '' || line.startsWith('#') || line.startsWith('//')) return;
  if (!text.startsWith('--') || text === '--') {
    // gflags stops here and loses every later flag; such files exist, and their operators meant the flags.
    const kind = /^(#|\/\/)/.test(text) ? 'an indented comment' : 'no flag (flags begin with two dashes)';
    // The line may be a misspelt password: it is not repeated.
    content.warnings.push(`${where}: ${kind}; the line is skipped`);
    return;
  }
  const equals = text.indexOf('=');
  const name = equals === -1 ? text.slice(2) : text.slice(2, equals);
  const value = equals === -1 ? null : text.slice(equals + 1);
  if (name === 'flagfile') {
    if (value === null || value === '')
      content.warnings.push(`${where}: --flagfile names no file; the line is skipped`);
    else readInto(content, value, readText, where);
    return;
  }
  const [first = '', ...rest] = name.split(/\s+/);
  if (rest.length > 0) {
    const known = first === 'flagfile' || resolveName(first, flagDefinitions) !== null;
    if (known) content.warnings.push(`${where}: --${first} and its value need a = between them; the line is skipped`);
    content.lines.push({ name: first === name ? name : `${first} …`, value: null, where });
    return;
  }
  content.lines.push({ name, value, where });
}

import { join } from 'node:path';
import type { Flags } from '../common/flags/flags.js';
import { flagsFrom } from '../common/flags/values.js';
import type { Files } from '../common/runtime/runtime.js';

/** Flags which are this process's own affair. */
const ownAffairs = ['logfile', 'logdir', 'verbose', 'use_syslog'];

/**
 * Writes `<state_path>/nova.conf`: the flags in which this cloud differs from the defaults, so that
 * `nova-manage --state_path=…` works on the same one.
 */
export async function writeFlagFile(files: Files, flags: Flags): Promise<void> {
  const path = join(flags.state_path, 'nova.conf');
  // What follows from these two is left out, so that a state folder may be moved.
  const given: Readonly<Record<string, unknown>> = { state_path: flags.state_path, my_ip: flags.my_ip };
  const usual: Readonly<Record<string, unknown>> = flagsFrom(given);
  const differs = (name: string, value: unknown): boolean => JSON.stringify(value) !== JSON.stringify(usual[name]);
  const lines = Object.entries(flags)
    .filter(([name, value]) => !ownAffairs.includes(name) && (name in given || differs(name, value)))
    .flatMap(([name, value]) => flagLines(name, value));
  const text = [
    '# The flags of this cloud; written by nova-all at each start, read by nova-manage.',
    ...lines,
    '',
  ].join('\n');
  if ((await files.read(path).catch(() => null)) !== text) await files.writeAtomic(path, text, 0o600);
}

function flagLines(name: string, value: unknown): string[] {
  if (value === null) return [];
  if (typeof value === 'boolean') return [`--${value ? '' : 'no'}${name}`];
  const text = Array.isArray(value) ? value.join(',') : String(value);
  // What is read again is interpolated again.
  return [`--${name}=${text.replaceAll('$', '$$$$')}`];
}

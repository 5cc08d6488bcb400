import { join } from 'node:path';
import type { Flags } from '../flags/flags.js';
import type { Clock } from '../runtime/runtime.js';
import { FileSink } from './fileSink.js';
import { NovaLog } from './novaLog.js';
import { StreamSink } from './sink.js';
import { SyslogSink } from './syslogSink.js';

/** The file which a program's log goes to: `logfile`, else `<logdir>/<program>.log`, else none. */
export function logFileOf(flags: Flags, program: string): string | null {
  return flags.logfile ?? (flags.logdir === null ? null : join(flags.logdir, `${program}.log`));
}

/** Opens the log of a program where its flags say: a file in place of stderr, and syslog beside it. Throws StartupError. */
export async function openLog(flags: Flags, program: string, clock: Clock): Promise<NovaLog> {
  const file = logFileOf(flags, program);
  const sink = file === null ? new StreamSink(process.stderr) : new FileSink(file, flags.logfile_mode, clock);
  const options = { program, flags, clock, pid: process.pid, sink };
  if (!flags.use_syslog) return new NovaLog(options);
  const syslog = new SyslogSink(program);
  await syslog.open();
  return new NovaLog({ ...options, syslog });
}

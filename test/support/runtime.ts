import type { FlagName } from '../../common/flags/flags.js';
import { flagsFrom } from '../../common/flags/values.js';
import { currentLogContext, loggerOf, type Log, type Logger } from '../../common/log.js';
import { RealRuntime } from '../../common/runtime/real.js';
import { temporaryFolder } from './temporary.js';

/** A log which keeps its lines for the test to read: `LEVEL logger [request] message`. */
export class MemoryLog implements Log {
  readonly lines: string[] = [];

  logger(name: string): Logger {
    return loggerOf((level, message, error) => {
      const trace = error instanceof Error ? `\n${error.stack}` : '';
      this.lines.push(`${level} ${name} [${currentLogContext()?.requestId ?? '-'}] ${message}${trace}`);
      if (process.env['NOVA_TEST_LOG']) process.stderr.write(`${this.lines.at(-1)}\n`);
    });
  }
  reopen(): void {}
  async close(): Promise<void> {}
}

/** A runtime of the real machine for tests: a state directory of its own and a log in memory. */
export function testRuntime(
  flags: Partial<Record<FlagName, unknown>> = {},
  options: { binary?: string } = {},
): { runtime: RealRuntime; log: MemoryLog; statePath: string } {
  const statePath = temporaryFolder('test');
  const log = new MemoryLog();
  const runtime = new RealRuntime({
    binary: options.binary ?? 'nova-test',
    flags: flagsFrom({ state_path: statePath, host: 'cloud1', my_ip: '127.0.0.1', ...flags }),
    log,
  });
  return { runtime, log, statePath };
}

import { parseFlags, type ParsedFlags } from '../common/flags/parse.js';
import { flagsFrom } from '../common/flags/values.js';
import { shortHelp } from '../common/flags/help.js';
import { StartupError } from '../common/errors.js';
import type { Flags } from '../common/flags/flags.js';
import { openLog } from '../common/log/open.js';
import type { NovaLog } from '../common/log/novaLog.js';
import { hideSecrets } from '../common/processTitle.js';
import { RealRuntime } from '../common/runtime/real.js';
import { bridge, type BridgeEnvironment } from './bridge.js';

const usage = {
  binary: 'nova-dhcpbridge',
  summary:
    'nova-dhcpbridge [flags] add|old|del MAC ADDRESS [HOSTNAME], or init: what dnsmasq runs as its --dhcp-script.',
};

/** dnsmasq answers no guest while this runs: it tries once where a daemon tries for ever. */
const impatience = { sql_max_retries: 1, rabbit_max_retries: 1 };

/**
 * Runs nova-dhcpbridge on the words after the program's name and answers the exit status (nova 2011.3,
 * bin/nova-dhcpbridge). On stdout are leases and nothing else.
 */
export async function main(argv: readonly string[]): Promise<number> {
  hideSecrets();
  const { env } = process; // dnsmasq says by its environment what it is for
  let parsed: ParsedFlags;
  let flags: Flags;
  let log: NovaLog;
  try {
    parsed = parseFlags({ argv, defaultFiles: flagFiles(env['FLAGFILE']) });
    if (parsed.show !== null) {
      process.stderr.write(shortHelp(usage));
      return 0;
    }
    flags = flagsFrom({ ...impatience, ...parsed.values });
    log = await openLogAnywhere(flags);
  } catch (error) {
    if (!(error instanceof StartupError)) throw error;
    process.stderr.write(`nova-dhcpbridge: ${error.message}\n`);
    return 1;
  }
  const runtime = new RealRuntime({ binary: 'nova-dhcpbridge', flags, log });
  const environment: BridgeEnvironment = {
    runtime,
    networkId: env['NETWORK_ID'],
    print: (text) => void process.stdout.write(text),
  };
  const status = await bridge(environment, parsed.positionals);
  await log.close();
  // whatever still waits (a broker which is away) must not keep dnsmasq waiting
  return process.exit(status);
}

/** Those which are read when no argument names one: dnsmasq's own, else the daemons'. */
function flagFiles(fromEnvironment: string | undefined): string[] {
  return [fromEnvironment || '/etc/nova/nova-dhcpbridge.conf', 'nova.conf', '/etc/nova/nova.conf'];
}

/** dnsmasq may run this as a user who may not write the log: then stderr has to do, for leases matter more. */
async function openLogAnywhere(flags: Flags): Promise<NovaLog> {
  const clock = { now: realNow };
  try {
    return await openLog(flags, 'nova-dhcpbridge', clock);
  } catch (error) {
    if (!(error instanceof StartupError)) throw error;
    return openLog({ ...flags, logdir: null, logfile: null, use_syslog: false }, 'nova-dhcpbridge', clock);
  }
}

const realNow = (): number => Date.now(); // eslint-disable-line no-restricted-syntax -- the log's clock, before there is a runtime

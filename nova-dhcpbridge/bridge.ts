import { isIPv4 } from 'node:net';
import { adminContext } from '../common/context.js';
import type { Db } from '../common/db/db.js';
import { errorText, NovaPlainError } from '../common/errors.js';
import type { Runtime } from '../common/runtime/runtime.js';
import { within } from '../common/service/timers.js';

/** What the bridge works with. */
export interface BridgeEnvironment {
  readonly runtime: Runtime;
  /** dnsmasq's environment variable NETWORK_ID. */
  readonly networkId: string | undefined;
  /** Writes to stdout. */
  readonly print: (text: string) => void;
}

/** What dnsmasq says of a lease, and nova-network's method for it. */
const methods = { add: 'lease_fixed_ip', old: 'lease_fixed_ip', del: 'release_fixed_ip' } as const;
type Method = (typeof methods)[keyof typeof methods];

/** Milliseconds after which the broker counts as away. */
const brokerPatience = 4000;

/**
 * One run: `add`, `old` or `del` of a lease tells this host's nova-network; any other action prints the leases of the
 * network. Answers the exit status; what went wrong is in the log.
 */
export async function bridge(environment: BridgeEnvironment, words: readonly string[]): Promise<number> {
  const log = environment.runtime.log.logger('nova.dhcpbridge');
  const [action = 'init', mac = '', address = ''] = words;
  try {
    if (!Object.hasOwn(methods, action)) {
      environment.print(await leases(environment));
      return 0;
    }
    if (!isIPv4(address))
      throw new NovaPlainError(`${action} ${mac}: ${address.slice(0, 50) || 'nothing'} is no address`);
    log.debug(`${action} ${mac} ${address}`);
    await tell(environment.runtime, methods[action as keyof typeof methods], address);
    return 0;
  } catch (error) {
    log.error(`${action} ${mac} ${address}: ${errorText(error)}`);
    return 1;
  }
}

/** Casts to nova-network of this host; with fake_rabbit, where no other process is reached, does its work. */
async function tell(runtime: Runtime, method: Method, address: string): Promise<void> {
  if (runtime.flags.fake_rabbit) return record(runtime, method, address);
  const [{ amqpTransport }, { createRpc }] = await Promise.all([
    import('../common/rpc/amqp.js'),
    import('../common/rpc/client.js'),
  ]);
  const transport = amqpTransport(runtime);
  const cast = async (): Promise<void> => {
    await transport.connect();
    await createRpc(runtime, transport).networkOn(runtime.host).cast[method](adminContext(runtime), { address });
  };
  try {
    if (!(await within(runtime, brokerPatience, cast()))) throw new NovaPlainError('the broker does not answer');
    await transport.close();
  } catch (error) {
    runtime.halt();
    void transport.close();
    throw error;
  }
}

async function record(runtime: Runtime, method: Method, address: string): Promise<void> {
  const { leaseFixedIp, releaseFixedIp } = await import('../common/db/fixedIps.js');
  const known = await withDatabase(runtime, (db) =>
    method === 'lease_fixed_ip'
      ? leaseFixedIp(db, address)
      : releaseFixedIp(db, address).then((released) => released !== null),
  );
  const done = method === 'lease_fixed_ip' ? 'leased' : 'released';
  if (!known) throw new NovaPlainError(`IP ${address} ${done} that is not associated`);
}

/**
 * The leases with which a DHCP server starts, in the form of dnsmasq's lease file, a line each: `expiry MAC address name *`,
 * the expiry in seconds since the epoch. Those which run are taken to be as long as new ones: when they really end nobody
 * knows, and dnsmasq would take one that is over from its guest at once.
 */
async function leases({ runtime, networkId }: BridgeEnvironment): Promise<string> {
  if (networkId === undefined || networkId === '') {
    throw new NovaPlainError("Environment variable 'NETWORK_ID' must be set.");
  }
  if (!/^\d{1,9}$/.test(networkId)) throw new NovaPlainError(`NETWORK_ID=${networkId.slice(0, 50)} is no id`);
  const [{ dhcpHosts, dhcpName, dhcpScope }, { getNetwork }] = await Promise.all([
    import('../common/db/dhcpHosts.js'),
    import('../common/db/networks.js'),
  ]);
  const hosts = await withDatabase(runtime, async (db) => {
    const network = await getNetwork(db, Number(networkId));
    return dhcpHosts(db, network.id, dhcpScope(network, runtime.host));
  });
  const expiry = Math.floor(runtime.clock.now() / 1000) + runtime.flags.dhcp_lease_time;
  const lines = hosts
    .filter((host) => host.leased)
    .map(({ mac, address, hostname }) => `${expiry} ${mac} ${address} ${dhcpName(hostname) ?? '*'} *`);
  return `${lines.join('\n')}\n`;
}

async function withDatabase<T>(runtime: Runtime, work: (db: Db) => Promise<T>): Promise<T> {
  const { openDatabase } = await import('../common/db/database.js');
  const db = openDatabase(runtime);
  try {
    return await work(db);
  } finally {
    await db.close();
  }
}

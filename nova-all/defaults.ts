import { resolve } from 'node:path';
import type { FlagName } from '../common/flags/flags.js';
import { freePort } from './ports.js';

type Values = Partial<Record<FlagName, unknown>>;

/** Where nova-all differs from the daemons' defaults: everything on this machine, nothing that needs a server or root. */
const defaults: Values = {
  my_ip: '127.0.0.1',
  state_path: 'state',
  fake_rabbit: true,
  enabled_apis: ['ec2', 'images', 'objectstore'],
  ec2_auth: 'keys',
  ec2_listen: '127.0.0.1',
  images_listen: '127.0.0.1',
  connection_type: 'fake',
  network_manager: 'nova.network.manager.FlatManager',
  fake_network: true,
  flat_network_bridge: 'br100',
  fixed_range: '10.0.0.0/22',
  network_size: 1024,
  volume_driver: 'nova.volume.driver.FakeISCSIDriver',
  scheduler_driver: 'nova.scheduler.simple.SimpleScheduler',
};

/**
 * The values which nova-all runs with: those given, over its own defaults. A port of 0 becomes a free one here, because
 * other flags (`ec2_port`, `glance_api_servers`) tell it.
 */
export async function withDefaults(given: Values): Promise<Values> {
  const values: Values = { ...defaults, ...given };
  values.state_path = resolve(String(values.state_path));
  if (values.logfile === undefined && values.logdir === undefined) values.logfile = '$state_path/nova-all.log';
  values.ec2_listen_port = await realPort(given.ec2_listen_port ?? 8773, values.ec2_listen);
  values.images_listen_port = await realPort(given.images_listen_port ?? 9292, values.images_listen);
  values.s3_port = await realPort(given.s3_port ?? 3333, given.s3_host ?? values.my_ip);
  values.ec2_port ??= values.ec2_listen_port;
  values.glance_api_servers ??= [`${connectHost(String(values.images_listen))}:${String(values.images_listen_port)}`];
  return values;
}

function realPort(port: unknown, listen: unknown): Promise<number> | number {
  return port === 0 ? freePort(String(listen)) : Number(port);
}

/** Where to connect to reach what listens on `listen`. */
function connectHost(listen: string): string {
  return listen === '0.0.0.0' ? '$my_ip' : listen;
}

/** What `--help` shows as defaults. */
export const shownDefaults: Readonly<Record<string, unknown>> = {
  ...defaults,
  state_path: './state',
  logfile: '$state_path/nova-all.log',
};

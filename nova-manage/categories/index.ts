import type { Category } from '../command.js';
import { agent } from './agent.js';
import { checkCategory } from './check.js';
import { config } from './config.js';
import { db } from './db.js';
import { fixed } from './fixed.js';
import { floating } from './floating.js';
import { host } from './host.js';
import { image } from './image.js';
import { instanceType } from './instanceType.js';
import { networks } from './network.js';
import { projects } from './project.js';
import { role } from './role.js';
import { service } from './service.js';
import { shell } from './shell.js';
import { user } from './user.js';
import { version } from './version.js';
import { vm } from './vm.js';
import { volume } from './volume.js';
import { vpn } from './vpn.js';
import { drive, vsa } from './vsa.js';

/** Every category, in the order in which they are listed. `account` and `flavor` are second names. */
export const categories: Readonly<Record<string, Category>> = {
  account: projects,
  agent,
  check: checkCategory,
  config,
  db,
  drive,
  fixed,
  flavor: instanceType,
  floating,
  host,
  instance_type: instanceType,
  image,
  network: networks,
  project: projects,
  role,
  service,
  shell,
  user,
  version,
  vm,
  volume,
  vpn,
  vsa,
};

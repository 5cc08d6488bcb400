import type { Category } from '../command.js';
import { checkCategory } from './check.js';
import { db } from './db.js';
import { floating } from './floating.js';
import { image } from './image.js';
import { instanceType } from './instanceType.js';
import { networks } from './network.js';
import { projects } from './project.js';
import { role } from './role.js';
import { service } from './service.js';
import { user } from './user.js';
import { version } from './version.js';
import { vm } from './vm.js';

/** Every category, in the order in which they are listed. `account` and `flavor` are second names. */
export const categories: Readonly<Record<string, Category>> = {
  account: projects,
  check: checkCategory,
  db,
  flavor: instanceType,
  floating,
  instance_type: instanceType,
  image,
  network: networks,
  project: projects,
  role,
  service,
  user,
  version,
  vm,
};

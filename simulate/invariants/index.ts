import type { SimulatedCloud } from '../cloud.js';
import type { SimulatedUsers } from '../users/users.js';
import { fixedAddresses, floatingAddresses } from './addresses.js';
import { securityGroups } from './groups.js';
import { failedBuildsHoldNothing, instancesAtRest, machinesMatch } from './instances.js';
import { busIdle, callsAnswered, filtersMatch, hostsNotOverfilled, nothingLeft, quotas } from './rest.js';
import { viewOf, type View } from './view.js';
import { disksMatch, exportsMatch, volumeStates } from './volumes.js';

type Invariant = (view: View) => string[] | Promise<string[]>;

/** What holds of a cloud which has come to rest, by name. */
const always: Readonly<Record<string, Invariant>> = {
  'instances at rest': instancesAtRest,
  'machines as the database says': machinesMatch,
  'failed builds hold nothing': failedBuildsHoldNothing,
  'fixed addresses': fixedAddresses,
  'floating addresses': floatingAddresses,
  'volume states': volumeStates,
  disks: disksMatch,
  exports: exportsMatch,
  quotas,
  'hosts not overfilled': hostsNotOverfilled,
  'security groups': securityGroups,
  'packet filters': filtersMatch,
  'calls answered': callsAnswered,
  'bus idle': busIdle,
};

/** What does not hold, each with the name of its invariant. With `empty` also what users should have got rid of. */
export async function problemsOf(cloud: SimulatedCloud, users: SimulatedUsers, empty: boolean): Promise<string[]> {
  const view = await viewOf(cloud, users);
  const problems: string[] = [];
  for (const [name, invariant] of Object.entries({ ...always, ...(empty ? { 'nothing left': nothingLeft } : {}) })) {
    for (const problem of await invariant(view)) problems.push(`${name}: ${problem}`);
  }
  return problems;
}

import { groupsByIds } from '../../common/db/securityGroups.js';
import { InvalidInput } from '../../common/errors.js';
import type { ComputeParts } from './parts.js';

/**
 * Rules or members of a security group changed: the hypervisor rebuilds the filters of its machines. Nobody knows any more
 * whose those of a deleted group are, so then all are rebuilt.
 */
export async function refreshSecurityGroup(parts: ComputeParts, args: { security_group_id: number }): Promise<null> {
  const { security_group_id: id } = args;
  if (!Number.isInteger(id)) throw new InvalidInput(`${String(id)} is no security group id`);
  const exists = (await groupsByIds(parts.db, [id])).length > 0;
  await parts.driver.refreshSecurityGroup(exists ? id : undefined);
  return null;
}

/** From time to time, since messages about changes may be lost, and nobody waits for an answer to them. */
export async function refreshFilters(parts: ComputeParts): Promise<void> {
  await parts.driver.refreshSecurityGroup();
}

/** The provider's own rules changed: all filters are rebuilt. */
export async function refreshProviderRules(parts: ComputeParts): Promise<null> {
  await parts.driver.refreshSecurityGroup();
  return null;
}

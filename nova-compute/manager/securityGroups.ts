import { InvalidInput } from '../../common/errors.js';
import type { ComputeParts } from './parts.js';

/** Rules or members of a security group changed: the hypervisor rebuilds the filters of its machines. */
export async function refreshSecurityGroup(parts: ComputeParts, args: { security_group_id: number }): Promise<null> {
  const { security_group_id: id } = args;
  if (!Number.isInteger(id)) throw new InvalidInput(`${String(id)} is no security group id`);
  await parts.driver.refreshSecurityGroup(id);
  return null;
}

/** The provider's own rules changed: all filters are rebuilt. */
export async function refreshProviderRules(parts: ComputeParts): Promise<null> {
  await parts.driver.refreshSecurityGroup();
  return null;
}

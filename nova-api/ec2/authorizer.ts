import type { Context } from '../../common/context.js';
import type { Ec2Action } from './action.js';
import { Refusal } from './refusal.js';

/**
 * Lets administrators pass, and others by the roles of the action (nova 2011.3, nova/api/ec2/__init__.py Authorizer).
 * Throws Refusal with status 401, as 2011.3 answers.
 */
export function authorize(action: Pick<Ec2Action, 'roles'>, context: Context): void {
  if (context.isAdmin || action.roles === 'all') return;
  if (action.roles.some((role) => context.roles.includes(role))) return;
  const wanted = action.roles.length === 0 ? 'an administrator' : `one of the roles ${action.roles.join(', ')}`;
  throw new Refusal(
    401,
    'UnauthorizedOperation',
    `You are not authorized to perform this operation; it needs ${wanted}.`,
  );
}

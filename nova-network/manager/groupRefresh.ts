import { adminContext, Context } from '../../common/context.js';
import { hostsToRefresh } from '../../common/db/securityGroups.js';
import { errorText } from '../../common/errors.js';
import type { NetworkWork } from './kind.js';

/**
 * Tells the hosts whose instances let in a group of this instance that the group's addresses changed: one message a
 * group and host (2011.3 sent one, with the last group's id). A host which can't be told is logged, it reads the rules
 * anew when it starts. Sent in nova-network's own name, as in 2011.3, under the request's id.
 */
export async function refreshGroupMembers(work: NetworkWork, context: Context, instanceId: number): Promise<void> {
  const own = new Context({ ...adminContext(work.runtime), requestId: context.requestId });
  for (const { security_group_id, host } of await hostsToRefresh(work.db, instanceId)) {
    try {
      const compute = work.rpc.computeOn(host);
      await compute.cast.refresh_security_group_members(own, { security_group_id }, { confirm: false });
    } catch (error) {
      work.log.warn(
        `Host ${host} could not be told about members of security group ${security_group_id}: ${errorText(error)}`,
      );
    }
  }
}

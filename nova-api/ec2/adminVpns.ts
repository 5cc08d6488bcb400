import { isoTime } from '../../common/time.js';
import type { Vpn } from '../../common/cloud/vpns.js';
import { action, type Ec2Actions, type Ec2Result } from './action.js';
import { ec2IdOf } from './ids.js';
import { required, text } from './params.js';

/** Cloudpipes at the Admin endpoint (nova 2011.3, nova/api/ec2/admin.py). */
export const adminVpnActions: Ec2Actions = {
  StartVpn: action({
    roles: [],
    params: { Project: required(text) },
    run: async (cloud, context, { Project: project }) => ({
      instanceId: ec2IdOf('i', await cloud.vpns.start(context, project)),
    }),
  }),

  DescribeVpns: action({
    roles: [],
    params: {},
    run: async (cloud, context) => ({ items: (await cloud.vpns.list(context)).map(vpnItem) }),
  }),
};

function vpnItem({ projectId, endpoint, instance, state }: Vpn): Ec2Result {
  return {
    projectId,
    publicIp: endpoint.address,
    publicPort: endpoint.port,
    state,
    instanceId: instance === null ? undefined : ec2IdOf('i', instance.id),
    createdAt: instance?.created_at ? isoTime(instance.created_at) : undefined,
    internalIp: instance?.address ?? undefined,
  };
}

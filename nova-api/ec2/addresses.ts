import type { Context } from '../../common/context.js';
import type { FloatingIpView } from '../../common/db/floatingIps.js';
import { action, netadmin, type Ec2Actions, type Ec2Result } from './action.js';
import { filtered, filtersParam, type FilterGetters } from './filters.js';
import { ec2IdOf } from './ids.js';
import { ec2Id, list, required, text } from './params.js';

/** The answer of 2011.3, a list with one sentence, and the `return` which fog and boto read. */
const answered = (element: string, sentence: string): Ec2Result => ({ [element]: [sentence], return: true });

/** Actions about floating addresses (EC2 API 2011-01-01; nova 2011.3, nova/api/ec2/cloud.py). */
export const addressActions: Ec2Actions = {
  /** `domain` is for clients newer than 2011. */
  AllocateAddress: action({
    roles: netadmin,
    params: {},
    run: async (cloud, context) => ({ publicIp: await cloud.addresses.allocate(context), domain: 'standard' }),
  }),

  ReleaseAddress: action({
    roles: netadmin,
    params: { PublicIp: required(text) },
    async run(cloud, context, { PublicIp: address }) {
      await cloud.addresses.release(context, address);
      return answered('releaseResponse', 'Address released.');
    },
  }),

  AssociateAddress: action({
    roles: netadmin,
    params: { InstanceId: required(ec2Id('i')), PublicIp: required(text) },
    async run(cloud, context, { InstanceId: instanceId, PublicIp: address }) {
      await cloud.addresses.associate(context, instanceId, address);
      return answered('associateResponse', 'Address associated.');
    },
  }),

  DisassociateAddress: action({
    roles: netadmin,
    params: { PublicIp: required(text) },
    async run(cloud, context, { PublicIp: address }) {
      await cloud.addresses.disassociate(context, address);
      return answered('disassociateResponse', 'Address disassociated.');
    },
  }),

  DescribeAddresses: action({
    roles: 'all',
    params: { PublicIp: list(text), Filter: filtersParam },
    async run(cloud, context, { PublicIp: names, Filter: filters }) {
      const rows = await cloud.addresses.describe(context, names);
      const shown = filtered(cloud, filters, rows, addressFilters);
      return { addressesSet: shown.map((row) => addressItem(context, row)) };
    },
  }),
};

function instanceIdOf(row: FloatingIpView): string | null {
  return row.instance_id === null ? null : ec2IdOf('i', row.instance_id);
}

/** An administrator sees the project beside the instance, as in 2011.3. */
function addressItem(context: Context, row: FloatingIpView): Ec2Result {
  const instanceId = instanceIdOf(row);
  return {
    publicIp: row.address,
    domain: 'standard',
    instanceId: context.isAdmin ? `${instanceId ?? 'None'} (${row.project_id})` : instanceId,
  };
}

function addressFilters(row: FloatingIpView): FilterGetters {
  return {
    'public-ip': () => row.address,
    'instance-id': () => instanceIdOf(row),
    'private-ip-address': () => row.fixed_address,
    domain: () => 'standard',
  };
}

import { action, type Ec2Actions } from './action.js';
import { required, text } from './params.js';

/** Addresses shut out by the provider, at the Admin endpoint (nova 2011.3, nova/api/ec2/admin.py). */
export const adminFirewallActions: Ec2Actions = {
  BlockExternalAddresses: action({
    roles: [],
    params: { Cidr: required(text) },
    async run(cloud, context, { Cidr: cidr }) {
      return { status: 'OK', message: `Added ${await cloud.providerFirewall.block(context, cidr)} rules` };
    },
  }),

  DescribeExternalAddressBlocks: action({
    roles: [],
    params: {},
    run: async (cloud, context) => ({
      externalIpBlockInfo: (await cloud.providerFirewall.list(context)).map((cidr) => ({ cidr })),
    }),
  }),

  RemoveExternalAddressBlock: action({
    roles: [],
    params: { Cidr: required(text) },
    async run(cloud, context, { Cidr: cidr }) {
      return { status: 'OK', message: `Deleted ${await cloud.providerFirewall.unblock(context, cidr)} rules` };
    },
  }),
};

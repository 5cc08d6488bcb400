import type { InstanceTypeRow } from '../../common/db/rows.js';
import { action, InNamespace, type Ec2Actions, type Ec2Result } from './action.js';
import { filtered, filtersParam, type FilterGetters } from './filters.js';
import { pageOf, pageParams } from './pages.js';
import { list, text } from './params.js';

/** What there is to run, and how much of it: actions which clients newer than 2011.3 ask for. */
export const accountActions: Ec2Actions = {
  DescribeInstanceTypes: action({
    roles: 'all',
    params: { InstanceType: list(text), Filter: filtersParam, ...pageParams },
    async run(cloud, _context, params) {
      const { InstanceType: names, Filter: filters } = params;
      const all = await cloud.instances.types();
      const named = all.filter(({ name }) => names.length === 0 || names.includes(name ?? ''));
      const types = filtered(cloud, filters, named, typeGetters);
      const { shown, more } = pageOf(types, params, ({ name, id }) => name ?? String(id));
      const details = new InNamespace(eucalyptusNamespace, shown.map(eucalyptusItem));
      return { instanceTypeDetails: details, instanceTypeSet: shown.map(typeItem), ...more };
    },
  }),

  DescribeAccountAttributes: action({
    roles: 'all',
    params: { AttributeName: list(text) },
    async run(cloud, context, { AttributeName: names }) {
      const { instances, floating_ips: addresses } = await cloud.quotas.limits(context);
      const attributes: Record<string, string | number> = {
        'supported-platforms': 'EC2',
        'default-vpc': 'none',
        'max-instances': shownLimit(instances),
        'max-elastic-ips': shownLimit(addresses),
        'vpc-max-elastic-ips': 0,
      };
      const shown = Object.entries(attributes).filter(([name]) => names.length === 0 || names.includes(name));
      return {
        accountAttributeSet: shown.map(([attributeName, attributeValue]) => ({
          attributeName,
          attributeValueSet: [{ attributeValue }],
        })),
      };
    },
  }),
};

/** EC2 has no word for "unlimited". */
function shownLimit(limit: number): number {
  return Number.isFinite(limit) ? limit : 2 ** 31 - 1;
}

/** Where libcloud looks for types; the others ignore namespaces. */
const eucalyptusNamespace = 'http://msgs.eucalyptus.com/3.3.0';

/** The shape of Eucalyptus, which boto 2.49, euca2ools and libcloud read. */
function eucalyptusItem(type: InstanceTypeRow): Ec2Result {
  return { name: type.name, cpu: type.vcpus, disk: type.local_gb, memory: type.memory_mb };
}

/** The shape of today's EC2. boto takes the items of both lists for types, so these have the older elements too. */
function typeItem(type: InstanceTypeRow): Ec2Result {
  return {
    ...eucalyptusItem(type),
    instanceType: type.name,
    currentGeneration: true,
    vCpuInfo: { defaultVCpus: type.vcpus },
    memoryInfo: { sizeInMiB: type.memory_mb },
    instanceStorageSupported: type.local_gb > 0,
    instanceStorageInfo: { totalSizeInGB: type.local_gb },
  };
}

function typeGetters(type: InstanceTypeRow): FilterGetters {
  return {
    'instance-type': () => type.name,
    'vcpu-info.default-vcpus': () => type.vcpus,
    'memory-info.size-in-mib': () => type.memory_mb,
  };
}

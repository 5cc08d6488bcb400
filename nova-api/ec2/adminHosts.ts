import { action, type Ec2Actions } from './action.js';

/** Hosts and instance types at the Admin endpoint (nova 2011.3, nova/api/ec2/admin.py). */
export const adminHostActions: Ec2Actions = {
  DescribeHosts: action({
    roles: [],
    params: {},
    async run(cloud, context) {
      const hosts = await cloud.hosts.list(context);
      return {
        hosts: hosts.map((host) => ({
          hostname: host.name,
          instanceCount: host.instances,
          volumeCount: host.volumes,
          compute: upOrDown(host.compute),
          volume: upOrDown(host.volume),
        })),
      };
    },
  }),

  DescribeInstanceTypes: action({
    roles: [],
    params: {},
    async run(cloud) {
      const types = await cloud.instances.types();
      return {
        instanceTypeSet: types.map((type) => ({
          name: type.name,
          memoryMb: type.memory_mb,
          vcpus: type.vcpus,
          diskGb: type.local_gb,
          flavorId: type.flavorid,
        })),
      };
    },
  }),
};

function upOrDown(isUp: boolean | undefined): 'up' | 'down' | undefined {
  return isUp === undefined ? undefined : isUp ? 'up' : 'down';
}

import { action, type Ec2Actions } from './action.js';
import { filtered, filtersParam } from './filters.js';
import { list, text } from './params.js';

/** Actions about zones and regions (nova 2011.3, nova/api/ec2/cloud.py). */
export const zoneActions: Ec2Actions = {
  /** `ZoneName.1=verbose` shows administrators hosts and services; other names have no effect, as in 2011.3. */
  DescribeAvailabilityZones: action({
    roles: 'all',
    params: { ZoneName: list(text), Filter: filtersParam },
    async run(cloud, context, { ZoneName: names, Filter: filters }) {
      const region = cloud.zones.regions()[0]!.name;
      const zones = names.includes('verbose') ? await cloud.zones.listVerbose(context) : await cloud.zones.list();
      const shown = filtered(cloud, filters, zones, (zone) => ({
        // No region-name: libcloud asks with the region of Amazon's which its driver is for, and there is one here.
        'zone-name': () => zone.name,
        state: () => zone.state,
      }));
      return {
        availabilityZoneInfo: shown.map((zone) => ({
          zoneName: zone.name,
          zoneState: zone.state,
          regionName: region,
          messageSet: [],
        })),
      };
    },
  }),

  DescribeRegions: action({
    roles: 'all',
    params: { RegionName: list(text), Filter: filtersParam },
    async run(cloud, _context, { Filter: filters }) {
      const regions = filtered(cloud, filters, cloud.zones.regions(), (region) => ({
        'region-name': () => region.name,
        endpoint: () => region.endpoint,
      }));
      return {
        regionInfo: regions.map((region) => ({ regionName: region.name, regionEndpoint: region.endpoint })),
      };
    },
  }),
};

import { Addresses } from './addresses.js';
import { Images } from './images.js';
import { Instances } from './instances.js';
import { KeyPairs } from './keyPairs.js';
import type { CloudParts } from './parts.js';
import { Quotas } from './quotas.js';
import { SecurityGroups } from './securityGroups.js';
import { Tags } from './tags.js';
import { Volumes } from './volumes.js';
import { Zones } from './zones.js';

/** The rules of the cloud, one object a resource. Doors, nova-manage and nova-compute call them; they know no HTTP. */
export class Cloud {
  readonly addresses: Addresses;
  readonly images: Images;
  readonly instances: Instances;
  readonly keyPairs: KeyPairs;
  readonly quotas: Quotas;
  readonly securityGroups: SecurityGroups;
  readonly tags: Tags;
  readonly volumes: Volumes;
  readonly zones: Zones;

  constructor(readonly parts: CloudParts) {
    this.quotas = new Quotas(parts);
    this.images = new Images(parts);
    this.keyPairs = new KeyPairs(parts);
    this.securityGroups = new SecurityGroups(parts);
    this.volumes = new Volumes(parts, this.quotas);
    this.addresses = new Addresses(parts);
    this.instances = new Instances(parts, this);
    this.tags = new Tags(parts, this);
    this.zones = new Zones(parts);
  }
}

/** Errors of networks, addresses and security groups. */
import { Invalid, NotFound, NovaError } from './base.js';

export class SecurityGroupNotFound extends NotFound {
  constructor(id: number | string) {
    super(`Security group ${id} not found.`);
  }
}
export class SecurityGroupNotFoundForProject extends NotFound {
  constructor(name: string, projectId: string) {
    super(`Security group ${name} not found for project ${projectId}.`);
  }
}
export class InvalidPortRange extends Invalid {
  constructor(fromPort: number | string, toPort: number | string) {
    super(`Invalid port range ${fromPort}:${toPort}.`);
  }
}
export class InvalidIpProtocol extends Invalid {
  constructor(protocol: string) {
    super(`Invalid IP protocol ${protocol}.`);
  }
}
export class InvalidCidr extends Invalid {
  constructor(cidr: string) {
    super(`Invalid cidr ${cidr}.`);
  }
}
export class NetworkNotFound extends NotFound {
  constructor(id: number | string) {
    super(`Network ${id} could not be found.`);
  }
}
export class NetworkNotFoundForProject extends NotFound {
  constructor(uuid: string, projectId: string) {
    super(`Either Network uuid ${uuid} is not present or is not assigned to the project ${projectId}.`);
  }
}
export class NetworkNotFoundForCidr extends NotFound {
  constructor(cidr: string) {
    super(`Network could not be found with cidr ${cidr}.`);
  }
}
export class NetworkHostNotSet extends NotFound {
  constructor(id: number | string) {
    super(`Host is not set to the network (${id}).`);
  }
}
export class NetworkNotCreated extends Invalid {
  constructor(req: string) {
    super(`${req} is required to create a network.`);
  }
}
export class NoNetworksFound extends NotFound {
  constructor() {
    super('No networks defined.');
  }
}
export class NoMoreNetworks extends NovaError {
  constructor() {
    super('No more networks available.');
  }
}
export class FixedIpNotFoundForAddress extends NotFound {
  constructor(address: string) {
    super(`Fixed ip not found for address ${address}.`);
  }
}
export class FixedIpNotFoundForInstance extends NotFound {
  constructor(instanceId: number) {
    super(`Instance ${instanceId} has zero fixed ips.`);
  }
}
export class FixedIpNotFoundForSpecificInstance extends NotFound {
  constructor(instanceId: number, address: string) {
    super(`Instance ${instanceId} doesn't have fixed ip '${address}'.`);
  }
}
export class FixedIpNotFoundForHost extends NotFound {
  constructor(host: string) {
    super(`Host ${host} has zero fixed ips.`);
  }
}
export class FixedIpNotFoundForNetwork extends NotFound {
  constructor(address: string, network: string | number) {
    super(`Fixed IP address (${address}) does not exist in network (${network}).`);
  }
}
export class FixedIpInvalid extends Invalid {
  constructor(address: string) {
    super(`Fixed IP address ${address} is invalid.`);
  }
}
export class FixedIpAlreadyInUse extends Invalid {
  constructor(address: string) {
    super(`Fixed IP address ${address} is already in use.`);
  }
}
export class NoMoreFixedIps extends NovaError {
  constructor() {
    super('Zero fixed ips available.');
  }
}
export class FloatingIpNotFoundForAddress extends NotFound {
  constructor(address: string) {
    super(`Floating ip not found for address ${address}.`);
  }
}
export class FloatingIpNotFoundForProject extends NotFound {
  constructor(projectId: string) {
    super(`Floating ip not found for project ${projectId}.`);
  }
}
export class FloatingIpNotFoundForHost extends NotFound {
  constructor(host: string) {
    super(`Floating ip not found for host ${host}.`);
  }
}
export class FloatingIpAlreadyInUse extends Invalid {
  constructor(address: string, fixedAddress: string) {
    super(`Floating ip ${address} is already in use by ${fixedAddress}.`);
  }
}
export class NoFloatingIpsDefined extends NotFound {
  constructor() {
    super('Zero floating ips exist.');
  }
}
export class NoMoreFloatingIps extends NotFound {
  constructor() {
    super('Zero floating ips available.');
  }
}
export class VirtualInterfaceMacAddressException extends NovaError {
  constructor() {
    super('5 attempts to create virtual interface with unique mac address failed');
  }
}

/** Errors of services and of the choice of a host. */
import { Invalid, NotFound, NovaError } from './base.js';

export class NoValidHost extends NovaError {}
export class WillNotSchedule extends NovaError {}
export class HostBinaryNotFound extends NotFound {
  constructor(host: string, binary: string) {
    super(`Could not find binary ${binary} on host ${host}.`);
  }
}
export class ComputeHostNotFound extends NotFound {
  constructor(host: string) {
    super(`Compute host ${host} could not be found.`);
  }
}
export class SchedulerHostFilterNotFound extends NotFound {
  constructor(name: string) {
    super(`Scheduler Host Filter ${name} could not be found.`);
  }
}
export class SchedulerCostFunctionNotFound extends NotFound {
  constructor(name: string) {
    super(`Scheduler cost function ${name} could not be found.`);
  }
}
export class SchedulerWeightFlagNotFound extends NotFound {
  constructor(flag: string) {
    super(`Scheduler weight flag not found: ${flag}`);
  }
}
export class VolumeServiceUnavailable extends Invalid {
  constructor() {
    super('Volume service is unavailable at this time.');
  }
}
export class ComputeServiceUnavailable extends Invalid {
  constructor(host: string) {
    super(`Compute service is unavailable at this time: ${host}.`);
  }
}
export class SourceHostUnavailable extends Invalid {
  constructor() {
    super('Original compute host is unavailable at this time.');
  }
}
export class UnableToMigrateToSelf extends Invalid {
  constructor(instanceId: number | string, host: string) {
    super(`Unable to migrate instance (${instanceId}) to current host (${host}).`);
  }
}
export class InvalidHypervisorType extends Invalid {
  constructor() {
    super('The supplied hypervisor type of is invalid.');
  }
}
export class DestinationHypervisorTooOld extends Invalid {
  constructor() {
    super('The instance requires a newer hypervisor version than has been provided.');
  }
}
export class InvalidSharedStorage extends Invalid {
  constructor(reason: string) {
    super(reason);
  }
}
export class InvalidCPUInfo extends Invalid {
  constructor(reason: string) {
    super(`Unacceptable CPU info: ${reason}`);
  }
}

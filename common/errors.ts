/**
 * Errors named as Nova 2011.3 names its exceptions (nova/exception.py). The class name is part of the contract:
 * it crosses AMQP as `failure[0]` and becomes the EC2 error code where the dialect's table has no other.
 */

/** Base of every error which the product raises on purpose. `name` is the class name seen on the wire. */
export class NovaError extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

/** An unclassified failure; what nova/exception.py `Error` is on the wire. */
export class NovaPlainError extends NovaError {
  constructor(message: string) {
    super(message);
    this.name = 'Error';
  }
}

/**
 * A request which the rules refuse. `code`, when given, replaces the generic EC2 code; `awsCode` is what EC2 itself says
 * where 2011.3 has the generic one (flag ec2_error_codes).
 */
export class ApiError extends NovaError {
  constructor(
    message: string,
    readonly code?: string,
    readonly awsCode?: string,
  ) {
    super(message);
  }
}
/** A project's quota does not allow the request. `code` as in {@link ApiError}. */
export class QuotaError extends ApiError {}

/** Anything that does not exist, or is not the caller's to see. */
export class NotFound extends NovaError {}
export class InstanceNotFound extends NotFound {
  constructor(readonly instanceId: number | string) {
    super(`Instance ${instanceId} could not be found.`);
  }
}
export class VolumeNotFound extends NotFound {
  constructor(readonly volumeId: number | string) {
    super(`Volume ${volumeId} could not be found.`);
  }
}
export class SnapshotNotFound extends NotFound {
  constructor(readonly snapshotId: number | string) {
    super(`Snapshot ${snapshotId} could not be found.`);
  }
}
export class VolumeTypeNotFound extends NotFound {
  constructor(id: number | string) {
    super(`Volume type ${id} could not be found.`);
  }
}
export class VolumeTypeNotFoundByName extends NotFound {
  constructor(name: string) {
    super(`Volume type with name ${name} could not be found.`);
  }
}
export class VolumeTypeExtraSpecsNotFound extends NotFound {
  constructor(id: number | string, key: string) {
    super(`Volume Type ${id} has no extra specs with key ${key}.`);
  }
}
export class ImageNotFound extends NotFound {
  constructor(imageId: number | string) {
    super(`Image ${imageId} could not be found.`);
  }
}
export class KeypairNotFound extends NotFound {
  constructor(keypairName: string, userId: string) {
    super(`Keypair ${keypairName} not found for user ${userId}`);
  }
}
export class InstanceTypeNotFoundByName extends NotFound {
  constructor(name: string) {
    super(`Instance type with name ${name} could not be found.`);
  }
}
export class InstanceTypeNotFound extends NotFound {
  constructor(id: number | string) {
    super(`Instance type ${id} could not be found.`);
  }
}
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
export class NetworkHostNotSet extends NotFound {
  constructor(id: number | string) {
    super(`Host is not set to the network (${id}).`);
  }
}
export class NetworkNotFoundForCidr extends NotFound {
  constructor(cidr: string) {
    super(`Network could not be found with cidr ${cidr}.`);
  }
}
export class FloatingIpNotFoundForHost extends NotFound {
  constructor(host: string) {
    super(`Floating ip not found for host ${host}.`);
  }
}
export class NoNetworksFound extends NotFound {
  constructor() {
    super('No networks defined.');
  }
}
export class ServiceNotFound extends NotFound {
  constructor(id: number | string) {
    super(`Service ${id} could not be found.`);
  }
}
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
export class UserNotFound extends NotFound {
  constructor(userId: string) {
    super(`User ${userId} could not be found.`);
  }
}
export class AccessKeyNotFound extends NotFound {
  constructor(accessKey: string) {
    super(`Access Key ${accessKey} could not be found.`);
  }
}
export class ProjectNotFound extends NotFound {
  constructor(projectId: string) {
    super(`Project ${projectId} could not be found.`);
  }
}
export class ProjectMembershipNotFound extends NotFound {
  constructor(projectId: string, userId: string) {
    super(`User ${userId} is not a member of project ${projectId}.`);
  }
}
export class UserRoleNotFound extends NotFound {
  constructor(role: string) {
    super(`Role ${role} could not be found.`);
  }
}

/** Something with this name exists already. */
export class Duplicate extends NovaError {}
export class KeyPairExists extends Duplicate {
  constructor(name: string) {
    super(`Key pair ${name} already exists.`);
  }
}
export class UserExists extends Duplicate {
  constructor(user: string) {
    super(`User ${user} already exists.`);
  }
}
export class ProjectExists extends Duplicate {
  constructor(project: string) {
    super(`Project ${project} already exists.`);
  }
}
export class VolumeTypeExists extends Duplicate {
  constructor(name: string, extraSpecs: Readonly<Record<string, string>>) {
    super(`Cannot create volume_type with name ${name} and specs ${JSON.stringify(extraSpecs)}`);
  }
}
export class InstanceTypeExists extends Duplicate {
  constructor(name: string) {
    super(`Instance Type ${name} already exists.`);
  }
}

/** Input of the wrong form. */
export class Invalid extends NovaError {}
export class InvalidInput extends Invalid {
  constructor(reason: string) {
    super(`Invalid input received: ${reason}`);
  }
}
export class InvalidEc2Id extends Invalid {
  /** `expected` is the prefix which the parameter asks for, e.g. `vol`. */
  constructor(
    ec2Id: string,
    readonly expected?: string,
  ) {
    super(`Ec2 id ${ec2Id} is unacceptable.`);
  }
}
export class InvalidParameterValue extends Invalid {}
export class InvalidVolumeType extends Invalid {
  constructor(reason: string) {
    super(`Invalid volume type: ${reason}`);
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
export class InstanceNotRunning extends Invalid {
  constructor(instanceId: string | number) {
    super(`Instance ${instanceId} is not running.`);
  }
}
export class FloatingIpAlreadyInUse extends Invalid {
  constructor(address: string, fixedAddress: string) {
    super(`Floating ip ${address} is already in use by ${fixedAddress}.`);
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
export class NetworkNotCreated extends Invalid {
  constructor(req: string) {
    super(`${req} is required to create a network.`);
  }
}

export class NotAuthorized extends NovaError {
  constructor(message = 'Not authorized.') {
    super(message);
  }
}
export class AdminRequired extends NotAuthorized {
  constructor() {
    super('User does not have admin privileges');
  }
}

export class NoValidHost extends NovaError {}
export class WillNotSchedule extends NovaError {}
export class NoMoreFixedIps extends NovaError {
  constructor() {
    super('Zero fixed ips available.');
  }
}
export class NoMoreNetworks extends NovaError {
  constructor() {
    super('No more networks available.');
  }
}
export class NoMoreTargets extends NovaError {
  constructor() {
    super('No more iSCSI targets available.');
  }
}
export class VirtualInterfaceMacAddressException extends NovaError {
  constructor() {
    super('5 attempts to create virtual interface with unique mac address failed');
  }
}
/** No image registry could be reached. */
export class ImageServiceUnavailable extends NovaError {}
export class ImageTooLarge extends NovaError {
  constructor() {
    super('Image is larger than instance type allows');
  }
}
export class ImageUnacceptable extends NovaError {
  constructor(imageId: string, reason: string) {
    super(`Image ${imageId} is unacceptable: ${reason}`);
  }
}
export class VolumeIsBusy extends NovaError {
  constructor(name: string) {
    super(`deleting volume ${name} that has snapshot`);
  }
}
/**
 * A statement which the database refused; the driver's own text. `reason`: a uniqueness constraint; a deadlock or lock
 * time-out which outlasted its retries; no server; a file or account which can't be used; anything else.
 */
export class DBError extends NovaError {
  constructor(
    message: string,
    readonly reason: 'unique' | 'conflict' | 'lost' | 'hopeless' | 'other' = 'other',
  ) {
    super(message);
  }
}

export class MigrationNotFound extends NotFound {
  constructor(id: number) {
    super(`Migration ${id} could not be found.`);
  }
}
export class MigrationNotFoundByStatus extends NotFound {
  constructor(instanceId: number | string, status: string) {
    super(`Migration not found for instance ${instanceId} with status ${status}.`);
  }
}
export class FileNotFound extends NotFound {
  constructor(path: string) {
    super(`File ${path} could not be found.`);
  }
}
export class CannotResizeToSameSize extends NovaError {
  constructor() {
    super('When resizing, instances must change size!');
  }
}
export class CannotResizeToSmallerSize extends NovaError {
  constructor() {
    super('Resizing to a smaller size is not supported.');
  }
}
export class ImageRotationNotAllowed extends NovaError {
  constructor() {
    super('Rotation is not allowed for snapshots');
  }
}
export class RotationRequiredForBackup extends NovaError {
  constructor() {
    super('Rotation param is required for backup image_type');
  }
}
export class MigrationError extends NovaError {
  constructor(reason: string) {
    super(`Migration error: ${reason}`);
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
export class UnableToMigrateToSelf extends Invalid {
  constructor(instanceId: number | string, host: string) {
    super(`Unable to migrate instance (${instanceId}) to current host (${host}).`);
  }
}
export class SourceHostUnavailable extends Invalid {
  constructor() {
    super('Original compute host is unavailable at this time.');
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

/** What went wrong at the other end of an rpc call. `excType` is the remote class name (contract of nova/rpc/common.py). */
export class RemoteError extends NovaError {
  constructor(
    readonly excType: string,
    readonly value: string,
    readonly traceback: readonly string[] = [],
  ) {
    super(`${excType} ${value}`);
  }
}
/** No answer came in time. Names the method and where it was sent. */
export class RpcTimeout extends NovaError {
  constructor(
    readonly method: string,
    readonly routingKey: string,
    seconds: number,
  ) {
    super(`Timeout after ${seconds} s while waiting for an answer to ${method} from ${routingKey}`);
  }
}
/** The broker is away, or refused or returned the message: nobody will act on it. */
export class MessageNotDelivered extends NovaError {}

/** A flag, file or environment which makes it impossible to start. The message is one sentence for the operator. */
export class StartupError extends NovaError {}

/** Another daemon already consumes the queue of this host. */
export class HostAlreadyServed extends StartupError {
  constructor(topic: string, host: string) {
    super(
      `The queue ${topic}.${host} already has a consumer: another nova-${topic} runs as host ${host}. ` +
        `Stop it, or give this one another name with --host`,
    );
  }
}

/** An error with the name of a class of Python's own (`TypeError`, `AttributeError`, `IndexError`), where callers know it. */
export class PythonError extends NovaError {
  constructor(pythonClass: string, message: string) {
    super(message);
    this.name = pythonClass;
  }
}

/** The text of anything thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
/** The class name by which an error crosses the wire. */
export function errorType(error: unknown): string {
  return error instanceof Error ? error.name : 'Error';
}

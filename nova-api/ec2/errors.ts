import {
  ApiError,
  DBError,
  Invalid,
  InvalidEc2Id,
  NotAuthorized,
  NotFound,
  QuotaError,
  RemoteError,
  StartupError,
  errorText,
  errorType,
} from '../../common/errors.js';
import { Refusal } from './refusal.js';

/** Whose codes an error answer has (flag ec2_error_codes). */
export type ErrorDialect = 'nova' | 'aws';

/** The flag's value. Throws StartupError for another one. */
export function errorDialect(flag: string): ErrorDialect {
  if (flag === 'nova' || flag === 'aws') return flag;
  throw new StartupError(`--ec2_error_codes=${flag}: the values are nova and aws`);
}

/** An error as a client sees it. */
export interface ErrorAnswer {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  /** Nobody foresaw it: worth an ERROR line with its stack. */
  readonly unexpected: boolean;
  /** Seconds after which a 503 may be asked again; the door's own choice when absent. */
  readonly retryAfter?: number | undefined;
}

/**
 * AWS's code for each error class which a client may see. In the `nova` dialect the code is the class name
 * (nova 2011.3, nova/api/ec2/__init__.py Executor). A class which isn't here is a NotFound or Invalid of another kind, or
 * not the client's business.
 */
const awsCodes: Readonly<Record<string, string>> = {
  InstanceNotFound: 'InvalidInstanceID.NotFound',
  VolumeNotFound: 'InvalidVolume.NotFound',
  SnapshotNotFound: 'InvalidSnapshot.NotFound',
  ImageNotFound: 'InvalidAMIID.NotFound',
  KeypairNotFound: 'InvalidKeyPair.NotFound',
  KeyPairExists: 'InvalidKeyPair.Duplicate',
  UserExists: 'EntityAlreadyExists',
  ProjectExists: 'EntityAlreadyExists',
  SecurityGroupNotFound: 'InvalidGroup.NotFound',
  SecurityGroupNotFoundForProject: 'InvalidGroup.NotFound',
  FloatingIpNotFoundForAddress: 'InvalidAddress.NotFound',
  FloatingIpNotFoundForProject: 'InvalidAddress.NotFound',
  NoFloatingIpsDefined: 'InvalidAddress.NotFound',
  NoMoreFloatingIps: 'InsufficientAddressCapacity',
  FloatingIpAlreadyInUse: 'Resource.AlreadyAssociated',
  NoMoreFixedIps: 'InsufficientFreeAddressesInSubnet',
  InstanceNotRunning: 'IncorrectInstanceState',
  InstanceTypeNotFound: 'InvalidParameterValue',
  InstanceTypeNotFoundByName: 'InvalidParameterValue',
  Invalid: 'InvalidParameterValue',
  InvalidInput: 'InvalidParameterValue',
  InvalidParameterValue: 'InvalidParameterValue',
  InvalidPortRange: 'InvalidParameterValue',
  InvalidIpProtocol: 'InvalidParameterValue',
  InvalidCidr: 'InvalidParameterValue',
  ImageTooLarge: 'InvalidParameterValue',
  ImageUnacceptable: 'InvalidParameterValue',
  NotAuthorized: 'UnauthorizedOperation',
  AdminRequired: 'UnauthorizedOperation',
  QuotaError: 'ResourceLimitExceeded',
  MetadataLimitExceeded: 'TagLimitExceeded',
  ApiError: 'InvalidRequest',
};

/** AWS's codes for those refusals which 2011.3 tells apart by their text only. */
const awsCodesByText: readonly (readonly [RegExp, string])[] = [
  [/^group .* already exists$/s, 'InvalidGroup.Duplicate'],
  [/This rule already exists in group$/, 'InvalidPermission.Duplicate'],
  [/^No rule for the specified parameters/, 'InvalidPermission.NotFound'],
  [/^Volume quota exceeded/, 'VolumeLimitExceeded'],
  [/^Security group quota exceeded/, 'SecurityGroupLimitExceeded'],
  [/^Security group rule quota exceeded/, 'RulesPerSecurityGroupLimitExceeded'],
  [/^(Volume|Snapshot) (status must be|is already|isn't attached)|^Instance must be running/, 'IncorrectState'],
  [/^Image must be available/, 'InvalidAMIID.Unavailable'],
  [/^Floating ip is in use/, 'InvalidIPAddress.InUse'],
  [/^Address .*is not allocated/, 'InvalidAddress.NotFound'],
  [/^Address is not associated/, 'InvalidAssociationID.NotFound'],
  [/has no fixed_ips/, 'InvalidInstanceID'],
  [/^A block device needs a name/, 'InvalidBlockDeviceMapping'],
  [/^(\[\] )?Not enough parameters| not specified$/, 'MissingParameter'],
  [/^(Invalid device specified|attribute not supported|only group "all"|operation_type)/, 'InvalidParameterValue'],
];

/** AWS's codes for an id of the wrong form, by the prefix which was expected. */
const awsMalformedIds: Readonly<Record<string, string>> = {
  i: 'InvalidInstanceID.Malformed',
  vol: 'InvalidVolumeID.Malformed',
  snap: 'InvalidSnapshotID.Malformed',
  ami: 'InvalidAMIID.Malformed',
  aki: 'InvalidAMIID.Malformed',
  ari: 'InvalidAMIID.Malformed',
  sg: 'InvalidGroupId.Malformed',
};

/** What every answer says whose cause is not the client's business (2011.3's words). */
const unknownText = 'An unknown error has occurred. Please try your request again.';

/** Integer ids in the texts of workers and rules become EC2 ids. */
function withEc2Ids(text: string): string {
  const prefixes: Readonly<Record<string, string>> = { Instance: 'i', Volume: 'vol', Snapshot: 'snap' };
  return text.replace(
    /^(Instance|Volume|Snapshot) (\d{1,10}) (could not be found|is not running)/,
    (_, kind: string, id: string, what: string) => `${kind} ${ec2Id(prefixes[kind]!, Number(id))} ${what}`,
  );
}

/** `<prefix>-%08x`. */
function ec2Id(prefix: string, id: number): string {
  return `${prefix}-${id.toString(16).padStart(8, '0')}`;
}

/** Longest message of an answer: what a client sent comes back in it, and that may be 64 KiB. */
const longestMessage = 600;
/** The message, without its middle when it is too long: the reason is at its begin or its end. */
function clipped(message: string): string {
  if (message.length <= longestMessage) return message;
  return `${message.slice(0, longestMessage / 2)} … ${message.slice(-longestMessage / 3)}`;
}

/** Whether a client may see class and text of the error. */
function isVisible(error: unknown, type: string): boolean {
  if (Object.hasOwn(awsCodes, type)) return true;
  return (
    error instanceof NotFound || error instanceof Invalid || error instanceof NotAuthorized || error instanceof ApiError
  );
}

function awsCode(error: unknown, type: string, message: string): string {
  if (error instanceof ApiError && error.awsCode !== undefined) return error.awsCode;
  if (error instanceof InvalidEc2Id) return awsMalformedIds[error.expected ?? ''] ?? 'InvalidParameterValue';
  const byText =
    type === 'ApiError' || type === 'QuotaError' ? awsCodesByText.find(([text]) => text.test(message)) : undefined;
  return byText?.[1] ?? awsCodes[type] ?? 'InvalidParameterValue';
}

/**
 * The answer to anything thrown. Always status 400, as in 2011.3, but for refusals of the door itself, which carry their
 * own, and for 503 `Unavailable` where the cloud can't work now and nothing has been done, so that clients may try again.
 * A call to a worker which brought no answer is not one of those, since the worker may still act on it; nor is a change
 * of which the database did not say whether it was committed.
 */
export function errorAnswer(error: unknown, dialect: ErrorDialect): ErrorAnswer {
  const answer = answerOf(error, dialect);
  return { ...answer, message: clipped(answer.message) };
}

function answerOf(error: unknown, dialect: ErrorDialect): ErrorAnswer {
  if (error instanceof Refusal) {
    const { status, code, message, retryAfter } = error;
    return { status, code, message, retryAfter, unexpected: false };
  }
  const type = error instanceof RemoteError ? error.excType : errorType(error);
  const text = error instanceof RemoteError ? error.value : errorText(error);
  switch (type) {
    case 'MessageNotDelivered':
      return unavailable('The message bus cannot be reached. Please try again.');
    case 'ConsoleProxyNotReached':
      return unavailable(text);
    case 'ImageServiceUnavailable':
      return unavailable('The image service cannot be reached. Please try again.');
    case 'RpcTimeout':
      return failed('No answer came in time; the request may still be carried out.', dialect);
  }
  if (error instanceof DBError) {
    if (error.reason === 'unknown') {
      return failed(
        'The database went away before it confirmed the request, which may have been carried out.',
        dialect,
      );
    }
    if (error.reason !== 'other' && error.reason !== 'unique') {
      return unavailable('The database cannot be reached. Please try again.');
    }
  }
  if (!isVisible(error, type)) return { ...failed(unknownText, dialect), unexpected: true };
  const message = withEc2Ids(text);
  const given = error instanceof ApiError ? error.code : undefined;
  if (given !== undefined) {
    // 2011.3 puts the code in front of a quota's text; clients of the time show only the text.
    const prefixed = dialect === 'nova' && error instanceof QuotaError && !message.startsWith(`${given}:`);
    const code = dialect === 'aws' ? (awsCodes[given] ?? given) : given;
    return { status: 400, code, message: prefixed ? `${given}: ${message}` : message, unexpected: false };
  }
  if (type === 'QuotaError' && /^Address quota/.test(message)) {
    return { status: 400, code: 'AddressLimitExceeded', message, unexpected: false };
  }
  return { status: 400, code: dialect === 'aws' ? awsCode(error, type, message) : type, message, unexpected: false };
}

const failed = (message: string, dialect: ErrorDialect): ErrorAnswer => ({
  status: 400,
  code: dialect === 'nova' ? 'UnknownError' : 'InternalError',
  message,
  unexpected: false,
});

const unavailable = (message: string): ErrorAnswer => ({
  status: 503,
  code: 'Unavailable',
  message,
  unexpected: false,
});

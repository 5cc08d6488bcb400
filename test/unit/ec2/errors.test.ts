import { expect } from 'chai';
import * as errors from '../../../common/errors.js';
import { errorAnswer, errorDialect } from '../../../nova-api/ec2/errors.js';
import { authFailure, missingParameter, wrongSignature } from '../../../nova-api/ec2/refusal.js';

const unknownText = 'An unknown error has occurred. Please try your request again.';
/** Error, code of AWS, message; and where others than 400 and the error's class: status, code of 2011.3. */
type Row = [Error, string, string, { status?: number; nova?: string }?];
const unknown = { nova: 'UnknownError' };
const away = { status: 503, nova: 'Unavailable' };
const addresses = 'Address quota exceeded. You cannot allocate any more addresses';
const volumes = 'Volume quota exceeded. You cannot create a volume of size 9G';
const inUse = new errors.ApiError('Volume status must be available', undefined, 'VolumeInUse');
const table: Row[] = [
  [new errors.InstanceNotFound(10), 'InvalidInstanceID.NotFound', 'Instance i-0000000a could not be found.'],
  [new errors.InstanceNotFound('0f-uuid'), 'InvalidInstanceID.NotFound', 'Instance 0f-uuid could not be found.'],
  [new errors.VolumeNotFound(10), 'InvalidVolume.NotFound', 'Volume vol-0000000a could not be found.'],
  [new errors.SnapshotNotFound(255), 'InvalidSnapshot.NotFound', 'Snapshot snap-000000ff could not be found.'],
  [new errors.ImageNotFound('ami-0000002a'), 'InvalidAMIID.NotFound', 'Image ami-0000002a could not be found.'],
  [new errors.KeyPairExists('k'), 'InvalidKeyPair.Duplicate', 'Key pair k already exists.'],
  [new errors.KeypairNotFound('k', 'u'), 'InvalidKeyPair.NotFound', 'Keypair k not found for user u'],
  [
    new errors.SecurityGroupNotFoundForProject('g', 'p'),
    'InvalidGroup.NotFound',
    'Security group g not found for project p.',
  ],
  [new errors.NoMoreFloatingIps(), 'InsufficientAddressCapacity', 'Zero floating ips available.'],
  [new errors.InvalidPortRange(5, 1), 'InvalidParameterValue', 'Invalid port range 5:1.'],
  [new errors.InvalidEc2Id('i-x', 'i'), 'InvalidInstanceID.Malformed', 'Ec2 id i-x is unacceptable.'],
  [new errors.InvalidEc2Id('x', 'vol'), 'InvalidVolumeID.Malformed', 'Ec2 id x is unacceptable.'],
  [new errors.AdminRequired(), 'UnauthorizedOperation', 'User does not have admin privileges'],
  [new errors.ApiError('Image must be available'), 'InvalidAMIID.Unavailable', 'Image must be available'],
  [inUse, 'VolumeInUse', 'Volume status must be available'],
  [
    new errors.QuotaError('Security group rule quota exceeded. …'),
    'RulesPerSecurityGroupLimitExceeded',
    'Security group rule quota exceeded. …',
  ],
  [new errors.ApiError('Something else'), 'InvalidRequest', 'Something else'],
  [new errors.ApiError('group g already exists'), 'InvalidGroup.Duplicate', 'group g already exists'],
  [
    new errors.ApiError('No rule for the specified parameters.'),
    'InvalidPermission.NotFound',
    'No rule for the specified parameters.',
  ],
  [
    new errors.ApiError('Image x could not be found.', 'ImageNotFound'),
    'InvalidAMIID.NotFound',
    'Image x could not be found.',
    { nova: 'ImageNotFound' },
  ],
  [new errors.QuotaError(volumes), 'VolumeLimitExceeded', volumes],
  [
    new errors.RemoteError('NoMoreFloatingIps', 'Zero floating ips available.'),
    'InsufficientAddressCapacity',
    'Zero floating ips available.',
    { nova: 'NoMoreFloatingIps' },
  ],
  [
    new errors.RemoteError('InstanceNotFound', 'Instance 7 could not be found.'),
    'InvalidInstanceID.NotFound',
    'Instance i-00000007 could not be found.',
    { nova: 'InstanceNotFound' },
  ],
  [
    new errors.RemoteError('QuotaError', addresses),
    'AddressLimitExceeded',
    addresses,
    { nova: 'AddressLimitExceeded' },
  ],
  [new errors.RemoteError('KeyError', 'secret things'), 'InternalError', unknownText, unknown],
  [new TypeError('x is undefined'), 'InternalError', unknownText, unknown],
  [new errors.DBError('value too long'), 'InternalError', unknownText, unknown],
  [
    new errors.DBError('connection refused', 'lost'),
    'Unavailable',
    'The database cannot be reached. Please try again.',
    away,
  ],
  [
    new errors.DBError('the connection broke', 'unknown'),
    'InternalError',
    'The database went away before it confirmed the request, which may have been carried out.',
    unknown,
  ],
  [
    new errors.ConsoleProxyNotReached('vncproxy'),
    'Unavailable',
    'No console proxy takes the messages of topic vncproxy. Please try again when one runs.',
    away,
  ],
  [new errors.MessageNotDelivered('away'), 'Unavailable', 'The message bus cannot be reached. Please try again.', away],
  [
    new errors.RpcTimeout('m', 'network', 60),
    'InternalError',
    'No answer came in time; the request may still be carried out.',
    unknown,
  ],
  [
    missingParameter('Version'),
    'MissingParameter',
    'The request must contain the parameter Version',
    { nova: 'MissingParameter' },
  ],
];

describe('EC2 error table', () => {
  for (const [error, aws, message, { status = 400, nova = error.name } = {}] of table) {
    it(`answers ${error.name} ${error.message.slice(0, 30)} as ${nova} or ${aws}`, () => {
      expect(errorAnswer(error, 'nova')).to.include({ status, code: nova, message });
      expect(errorAnswer(error, 'aws')).to.include({ status, code: aws, message });
    });
  }

  it('puts the code before the text of a quota error in the dialect of 2011.3, once', () => {
    const text = 'Instance quota exceeded. You cannot run any more instances of this type.';
    const error = new errors.QuotaError(text, 'InstanceLimitExceeded');
    expect(errorAnswer(error, 'nova')).to.include({
      code: 'InstanceLimitExceeded',
      message: `InstanceLimitExceeded: ${text}`,
    });
    expect(errorAnswer(error, 'aws')).to.include({ code: 'InstanceLimitExceeded', message: text });
    const tags = new errors.QuotaError('Too many', 'MetadataLimitExceeded');
    expect(errorAnswer(tags, 'aws')).to.include({ code: 'TagLimitExceeded', message: 'Too many' });
    const prefixed = new errors.QuotaError(`InstanceLimitExceeded: ${text}`, 'InstanceLimitExceeded');
    expect(errorAnswer(prefixed, 'nova').message).to.equal(`InstanceLimitExceeded: ${text}`);
  });

  it('shortens a message which a client made long', () => {
    const error = new errors.InvalidParameterValue(`Value (${'x'.repeat(60_000)}) for parameter Name is too long.`);
    const { message } = errorAnswer(error, 'nova');
    expect(message.length).to.be.below(700);
    expect(message).to.match(/^Value \(x+ … x+\) for parameter Name is too long\.$/);
  });

  it('keeps authentication failures 403, whatever the dialect', () => {
    expect(errorAnswer(authFailure(), 'aws')).to.include({ status: 403, code: 'AuthFailure' });
    expect(errorAnswer(wrongSignature(), 'nova')).to.include({ status: 403, code: 'SignatureDoesNotMatch' });
  });

  it('marks only what nobody foresaw as unexpected', () => {
    expect(errorAnswer(new TypeError('bug'), 'nova').unexpected).to.equal(true);
    expect(errorAnswer(new errors.ApiError('no'), 'nova').unexpected).to.equal(false);
    expect(errorAnswer(new errors.MessageNotDelivered('away'), 'nova').unexpected).to.equal(false);
  });

  it('refuses a dialect which does not exist', () => {
    expect(() => errorDialect('eucalyptus')).to.throw(errors.StartupError, '--ec2_error_codes');
  });
});

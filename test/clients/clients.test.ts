import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Slots } from '../../common/lanes.js';
import { projectRoot } from '../../common/projectRoot.js';
import {
  clientTable,
  comparableRows,
  oldClient,
  readStory,
  type Row,
  script,
  storyDeadlineMs,
  type Client,
  tableIn,
  tell,
  writeTable,
} from '../support/clientStories.js';
import { type ClientRun, startEmbeddedCloud, startProcessCloud, type TestCloud } from '../support/cloud.js';

/** Client programs, unchanged. Python's stories tell what each version can do. */
const ec2Clients: readonly Client[] = [
  { name: 'boto 1.9b', word: 'boto-19', ...oldClient('boto-1.9b', 'story_boto.py') },
  { name: 'boto 2.0', word: 'boto-20', ...oldClient('boto-2.0', 'story_boto.py') },
  ...['2', '4'].map((version) => ({
    name: `boto 2.49, signature version ${version}`,
    word: `boto-v${version}`,
    command: script('story_boto.py'),
    environment: { BOTO_SIGNATURE: version },
  })),
  { name: 'boto3', word: 'boto3', command: script('story_boto3.py') },
  { name: 'aws', word: 'aws', command: script('story_aws.sh') },
  { name: 'fog-aws', word: 'fog', command: script('story_fog.rb') },
  ...['EUCALYPTUS', 'EC2', 'NIMBUS'].map((driver) => ({
    name: `libcloud, driver ${driver}`,
    word: `libcloud-${driver.toLowerCase()}`,
    command: script('story_libcloud.py'),
    environment: { LIBCLOUD_DRIVER: driver },
  })),
];

/** What knows less than every client of today. */
const oldLibcloud: Client = {
  name: 'libcloud of 2011',
  word: 'libcloud-05',
  ...oldClient('apache-libcloud-0.5.2', 'story_libcloud_old.py'),
};
const oldLibcloudSteps = ['zones', 'images', 'key pairs', 'security groups', 'run instances', 'reboot', 'terminate'];

/** The same for the objectstore. */
const s3Clients: readonly Client[] = [
  { name: 'boto 1.9b, S3', word: 'boto-19', ...oldClient('boto-1.9b', 's3_boto.py') },
  { name: 'boto 2.0, S3', word: 'boto-20', ...oldClient('boto-2.0', 's3_boto.py') },
  ...['2', '4'].flatMap((version): Client[] => [
    {
      name: `boto 2.49, S3, signature version ${version}`,
      word: `boto-v${version}`,
      command: script('s3_boto.py'),
      environment: { BOTO_SIGNATURE: version },
    },
    {
      name: `s3cmd, signature version ${version}`,
      word: `s3cmd-v${version}`,
      command: script('s3_s3cmd.sh'),
      environment: { S3_SIGNATURE: version },
    },
  ]),
  { name: 'boto3, S3', word: 'boto3', command: script('s3_boto3.py') },
  { name: 'aws s3', word: 'aws-s3', command: script('s3_aws.sh') },
];

/** What every EC2 client did, whatever else it can do. */
const everySteps = [
  'zones',
  'images',
  'key pairs',
  'security groups',
  'run instances',
  'describe instances',
  'console output',
  'volumes',
  'snapshots',
  'create image, launch permissions',
  'addresses',
  'reboot',
  'stop and start',
  'terminate',
];
const everyRefusals = [
  /^KeyPairExists: Key pair \S+-key already exists\.$/m,
  /^ApiError: group \S+-group already exists$/m,
  /^KeypairNotFound: Keypair \S+-no-key not found for user \S+$/m,
  /^ImageNotFound: Image ami-00ffff00 could not be found\.$/m,
  /^InstanceNotFound: Instance i-00ffff00 could not be found\.$/m,
  /^SignatureDoesNotMatch: The signature does not match the request/m,
];
const s3Steps = ['make bucket', 'put and get', 'list, by prefix and delimiter', 'delete'];
const s3Refusals = [
  /^NoSuchBucket: The specified bucket does not exist$/m,
  /^BucketNotEmpty: The bucket you tried to delete is not empty$/m,
  /^SignatureDoesNotMatch: The request signature we calculated does not match/m,
];

const clouds: readonly { name: string; column: string; start(): Promise<TestCloud> }[] = [
  { name: 'the cloud of one process', column: 'One process, SQLite', start: () => startEmbeddedCloud() },
  {
    name: 'five daemons and a second compute host on RabbitMQ and PostgreSQL',
    column: 'Five daemons, RabbitMQ, PostgreSQL',
    start: () => startProcessCloud(),
  },
];

/** aws starts anew for each call. */
const isSlow = ({ word }: Client): boolean => word.startsWith('aws');

const rows = new Map<string, { story: Row['story']; results: Map<string, string> }>();

function note(client: Client, cloud: string, run: ClientRun): Row['story'] {
  const story = readStory(run.output);
  const row = rows.get(client.name) ?? { story, results: new Map<string, string>() };
  row.results.set(cloud, run.code === 0 && story.isDone ? 'passed' : 'failed');
  rows.set(client.name, row);
  return story;
}

for (const { name, column, start } of clouds) {
  describe(`clients against ${name}`, function () {
    this.timeout(storyDeadlineMs);
    let cloud: TestCloud;
    const runs = new Map<Client, Promise<ClientRun>>();

    before(async () => {
      for (const program of ['aws', 's3cmd', 'ruby', 'python3']) {
        expect(existsSync(`/usr/bin/${program}`), `${program} is installed`).to.equal(true);
      }
      cloud = await start();
      // Most of what a story does is to wait, and aws is slow to start: several are told side by side.
      const slots = new Slots(3);
      const toTell = [...ec2Clients, oldLibcloud, ...s3Clients].filter((client) => client.missing === undefined);
      const slowFirst = [...toTell].sort((one, two) => Number(isSlow(two)) - Number(isSlow(one)));
      for (const client of slowFirst) {
        runs.set(
          client,
          slots.run(() => tell(client, cloud)),
        );
      }
    });
    after(async () => {
      await Promise.all(runs.values());
      await cloud?.stop();
    });

    const tells = (client: Client, what: string, steps: readonly string[], refusals: readonly RegExp[]): void => {
      if (client.missing !== undefined) {
        it.skip(`${client.name} ${what}: ${client.missing}`);
        return;
      }
      it(`${client.name} ${what}`, async () => {
        const run = await runs.get(client)!;
        const story = note(client, column, run);
        const log = (): string => `${run.output}\n--- daemons ---\n${cloud.output().slice(-20_000)}`;
        if (run.code !== 0 || !story.isDone) expect.fail(`the story ended with ${run.code}\n${log()}`);
        expect(story.client, 'the client which it says it is').to.match(/^\S+ \d+\.\d+/);
        expect(story.steps).to.include.members([...steps]);
        for (const refusal of refusals) expect(story.refusals.join('\n')).to.match(refusal);
      });
    };
    for (const client of ec2Clients) tells(client, 'goes from zones to terminate', everySteps, everyRefusals);
    tells(oldLibcloud, 'goes from zones to terminate', oldLibcloudSteps, everyRefusals);
    for (const client of s3Clients) tells(client, 'keeps objects in a bucket', s3Steps, s3Refusals);

    it('left nothing behind: no instance, no address, no secret in a log', async () => {
      expect((await cloud.manage('vm', 'list')).trim().split('\n')).to.have.length(1);
      expect(await cloud.manage('floating', 'list')).not.to.match(/^cloud1\t/m);
      const output = cloud.output();
      expect(output).not.to.contain(cloud.environment.EC2_SECRET_KEY);
      expect(output).not.to.contain('BEGIN RSA PRIVATE KEY');
      expect(output).not.to.match(/ (ERROR|CRITICAL) /);
    });
  });
}

describe('docs/clients.md', () => {
  const document = join(projectRoot(), 'docs', 'clients.md');
  const all = [...ec2Clients, oldLibcloud, ...s3Clients];

  it('has the table which these tests make', function () {
    const ran = all.filter((client) => rows.get(client.name)?.results.size === clouds.length);
    const inOrder = ran.map((client): Row => ({ name: client.name, ...rows.get(client.name)! }));
    const table = clientTable(
      inOrder,
      clouds.map(({ column }) => column),
    );
    if (process.env['NOVA_WRITE_CLIENTS'] === '1') {
      const missing = all.filter((client) => !ran.includes(client)).map((client) => client.name);
      expect(missing, 'clients which did not run, without which the table is not written').to.deep.equal([]);
      writeTable(document, table);
    }
    const checkedIn = comparableRows(tableIn(document));
    const how = 'run `NOVA_WRITE_CLIENTS=1 npm test -- dist/test/clients/clients.test.js` and look at what changed';
    expect([...checkedIn.keys()], `docs/clients.md has other clients than the tests: ${how}`).to.deep.equal(
      all.map((client) => client.name),
    );
    if (ran.length === 0) this.skip();
    for (const [client, row] of comparableRows(table)) {
      expect(checkedIn.get(client), `docs/clients.md differs in ${client}: ${how}`).to.equal(row);
    }
  });
});

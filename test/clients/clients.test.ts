import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../common/projectRoot.js';
import { runClient, startEmbeddedCloud, startProcessCloud, type TestCloud } from '../support/cloud.js';

const folder = join(projectRoot(), 'test', 'clients');

interface Client {
  name: string;
  command: string[];
  environment?: Record<string, string>;
}

/** Client programs, unchanged, and the script which drives each through the life of an instance. */
const clients: readonly Client[] = [
  {
    name: 'boto 2.49 with signature version 2',
    command: ['/usr/bin/python3', join(folder, 'story_boto.py')],
    environment: { BOTO_SIGNATURE: '2' },
  },
  {
    name: 'boto 2.49 with signature version 4',
    command: ['/usr/bin/python3', join(folder, 'story_boto.py')],
    environment: { BOTO_SIGNATURE: '4' },
  },
  { name: 'boto3', command: ['/usr/bin/python3', join(folder, 'story_boto3.py')] },
  { name: 'aws', command: ['bash', join(folder, 'story_aws.sh')] },
];

/** The same for the objectstore. */
const s3Clients: readonly Client[] = [
  ...['2', '4'].flatMap((version): Client[] => [
    {
      name: `boto 2.49 S3 with signature version ${version}`,
      command: ['/usr/bin/python3', join(folder, 's3_boto.py')],
      environment: { BOTO_SIGNATURE: version },
    },
    {
      name: `s3cmd with signature version ${version}`,
      command: ['bash', join(folder, 's3_s3cmd.sh')],
      environment: { S3_SIGNATURE: version },
    },
  ]),
  { name: 'boto3 S3', command: ['/usr/bin/python3', join(folder, 's3_boto3.py')] },
  { name: 'aws s3', command: ['bash', join(folder, 's3_aws.sh')] },
];

const clouds: readonly { name: string; start(): Promise<TestCloud> }[] = [
  { name: 'the cloud of one process', start: () => startEmbeddedCloud() },
  { name: 'five daemons and a second compute host on RabbitMQ and PostgreSQL', start: () => startProcessCloud() },
];

for (const { name, start } of clouds) {
  describe(`clients against ${name}`, function () {
    this.timeout(300_000);
    let cloud: TestCloud;

    before(async () => {
      for (const program of ['aws', 's3cmd']) {
        expect(existsSync(`/usr/bin/${program}`), `${program} is installed`).to.equal(true);
      }
      cloud = await start();
    });
    after(() => cloud?.stop());

    for (const client of clients) {
      it(`${client.name} goes through the life of an instance`, async () => {
        const run = await runClient(cloud, client.command, client.environment);
        expect(run.code, `${run.output}\n--- daemons ---\n${cloud.output().slice(-20_000)}`).to.equal(0);
        expect(run.output).to.match(/^done$/m);
      });
    }

    for (const client of s3Clients) {
      it(`${client.name} keeps objects in a bucket`, async () => {
        const run = await runClient(cloud, client.command, client.environment);
        expect(run.code, `${run.output}\n--- daemons ---\n${cloud.output().slice(-20_000)}`).to.equal(0);
        expect(run.output).to.match(/^done$/m);
      });
    }

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

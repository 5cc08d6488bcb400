import { expect } from 'chai';
import { join } from 'node:path';
import { projectRoot } from '../../common/projectRoot.js';
import { runClient, startEmbeddedCloud, type TestCloud } from '../support/cloud.js';
import { mariadb } from '../support/mariadb.js';

describe('clients against the cloud of one process on MariaDB', function () {
  this.timeout(180_000);
  let cloud: TestCloud;

  before(async () => {
    const server = await mariadb();
    cloud = await startEmbeddedCloud([`--sql_connection=${await server.freshDatabase()}`]);
  });
  after(() => cloud?.stop());

  it('boto 2.49 goes through the life of an instance', async () => {
    const story = join(projectRoot(), 'test', 'clients', 'story_boto.py');
    const run = await runClient(cloud, ['/usr/bin/python3', story], { BOTO_SIGNATURE: '2' });
    expect(run.code, `${run.output}\n--- daemons ---\n${cloud.output().slice(-10_000)}`).to.equal(0);
    expect(run.output).to.match(/^done$/m);
  });
});

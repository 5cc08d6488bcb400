import { expect } from 'chai';
import { script, tell } from '../support/clientStories.js';
import { startEmbeddedCloud, type TestCloud } from '../support/cloud.js';
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
    const environment = { BOTO_SIGNATURE: '2' };
    const run = await tell({ name: 'boto 2.49', word: 'boto', command: script('story_boto.py'), environment }, cloud);
    expect(run.code, `${run.output}\n--- daemons ---\n${cloud.output().slice(-10_000)}`).to.equal(0);
    expect(run.output).to.match(/^done$/m);
  });
});

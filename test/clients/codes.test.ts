import { expect } from 'chai';
import { join } from 'node:path';
import { projectRoot } from '../../common/projectRoot.js';
import { startApiCloud } from '../support/apiCloud.js';
import { runClient } from '../support/cloud.js';

describe('error codes which clients of today test for', function () {
  this.timeout(300_000);

  it('reach boto3 with --ec2_error_codes=aws', async () => {
    const cloud = await startApiCloud({
      ec2_error_codes: 'aws',
      quota_instances: 5,
      quota_cores: -1,
      quota_ram: -1,
      quota_gigabytes: 100,
      quota_floating_ips: 1,
    });
    try {
      // More cores than any host has.
      await cloud.manage('flavor', 'create', 'm1.huge', '512', '20000', '0', '99');
      const { access, secret } = cloud.as('demo');
      const environment = {
        EC2_URL: `http://127.0.0.1:${cloud.port}/services/Cloud`,
        EC2_ACCESS_KEY: access,
        EC2_SECRET_KEY: secret,
      };
      const script = join(projectRoot(), 'test', 'clients', 'codes_boto3.py');
      const run = await runClient({ environment }, ['/usr/bin/python3', script]);
      expect(run.code, `${run.output}\n${cloud.log.lines.slice(-50).join('\n')}`).to.equal(0);
      expect(run.output).to.match(/^done$/m);
      expect(run.output).to.match(/^stateReason: .*: .*cores/m);
    } finally {
      await cloud.stop();
    }
  });
});

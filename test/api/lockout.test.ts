import { expect } from 'chai';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Answer, type ApiCloud, accessKeyOf, startApiCloud } from '../support/apiCloud.js';
import { lockoutPaste } from '../support/lockoutPaste.js';
import { temporaryFolder } from '../support/temporary.js';

describe('the filter ec2lockout of a paste file', () => {
  const folder = temporaryFolder('lockout');
  let cloud: ApiCloud;
  before(async () => {
    const path = join(folder, 'api-paste.ini');
    writeFileSync(path, lockoutPaste);
    cloud = await startApiCloud({ ec2_auth: '', api_paste_config: path, lockout_attempts: 4 });
  });
  after(async () => {
    await cloud.stop();
    rmSync(folder, { recursive: true });
  });
  const outcome = async (asked: Promise<Answer>): Promise<string> => {
    const { status, code, message } = await asked;
    return `${status} ${code}${code === 'AuthFailure' ? ` ${message}` : ''}`;
  };

  it('shuts an access key out at both endpoints after failures at either, and no other key', async () => {
    const guess = cloud.caller(`${accessKeyOf('admin')}:admin`, 'a guess');
    const admin = cloud.as('admin');
    for (const endpoint of ['/services/Cloud', '/services/Admin', '/services/Cloud'] as const) {
      expect(await outcome(guess.at({ endpoint }).call('DescribeInstanceTypes'))).to.equal('403 SignatureDoesNotMatch');
    }
    // A success forgives none of them, and what isn't there is no guess.
    expect(await outcome(admin.call('DescribeInstances'))).to.equal('200 none');
    expect(await outcome(admin.call('DescribeNothing'))).to.equal('400 InvalidAction');
    expect(await outcome(cloud.as('admin', 'nowhere').call('DescribeInstances'))).to.match(
      /^403 AuthFailure (?!Too many)/,
    );
    for (const endpoint of ['/services/Cloud', '/services/Admin'] as const) {
      for (const caller of [admin, guess, cloud.as('admin', 'demo')]) {
        expect(await outcome(caller.at({ endpoint }).call('DescribeInstanceTypes'))).to.equal(
          '403 AuthFailure Too many failed authentications.',
        );
      }
    }
    expect(await outcome(cloud.as('demo').call('DescribeInstances'))).to.equal('200 none');
    const warnings = cloud.log.lines.filter((line) => line.includes('will be locked out'));
    expect(warnings).to.have.length(1);
    expect(warnings[0]).to.contain(accessKeyOf('admin'));
  });
});

import { expect } from 'chai';
import { redact } from '../../../common/log/redact.js';

const secret = 'hunter2';

describe('the redactor', () => {
  const texts = [
    `{"admin_password": "${secret}", "x": 1}`,
    `{"admin_password": "a\\"${secret}", "x": 1}`,
    `{u'admin_password': u'${secret}'}`,
    `{"message": "{\\"admin_password\\": \\"${secret}\\"}"}`,
    `{"new_pass":"${secret}"}`,
    `{"injected_files": [["/etc/x", "${secret}"], ["/y", "${secret}"]], "a": []}`,
    `{"injected_files": [["/etc/x", "a]] ${secret}"]]}`,
    `{"message": "{\\"injected_files\\": [[\\"/etc/x\\", \\"${secret}\\"]]}"}`,
    `--rabbit_password=${secret}`,
    `postgresql://nova:${secret}@db/nova`,
    `mysql://nova:p@${secret}@db/nova`,
    `GET /services/Cloud?AWSAccessKeyId=x&Signature=${secret}%3D&Action=Y`,
    `Authorization: AWS4-HMAC-SHA256 Credential=a/b, Signature=${secret}`,
    `secret_key: ${secret}`,
    `secretkey=${secret}`,
    `EC2_SECRET_KEY="${secret}"`,
    `auth_token=${secret}`,
    `-----BEGIN RSA PRIVATE KEY-----\n${secret}\n-----END RSA PRIVATE KEY-----`,
    `<keyMaterial>${secret}</keyMaterial>`,
    `"_context_auth_token": "${secret}"`,
  ];
  for (const text of texts) {
    it(`masks ${JSON.stringify(text)}`, () => {
      expect(redact(text)).to.contain('***').and.not.to.contain(secret);
    });
  }

  it('leaves everything else as it is', () => {
    for (const text of [
      'instance 7: starting...',
      'key_name=mykey',
      'user token expired',
      'http://host/path@x',
      'a monkey=3',
      'Invalid password',
    ]) {
      expect(redact(text)).to.equal(text);
    }
  });

  it('keeps what stands beside a secret', () => {
    expect(redact(`{"admin_password": "${secret}", "instance_id": 3}`)).to.equal(
      '{"admin_password": ***, "instance_id": 3}',
    );
    expect(redact(`?Signature=abc&Action=Run`)).to.equal('?Signature=***&Action=Run');
  });
});

import { expect } from 'chai';
import { connect } from 'node:net';
import { type ApiCloud, startApiCloud } from '../../support/apiCloud.js';

/** What the server answers to these bytes, until it closes the connection. */
function answerTo(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket
      .setEncoding('utf8')
      .on('data', (chunk: string) => (answer += chunk))
      .on('error', reject)
      .on('close', () => resolve(answer));
  });
}

describe('what is no HTTP request, at the port of EC2', function () {
  this.timeout(60_000);
  let cloud: ApiCloud;
  before(async () => {
    cloud = await startApiCloud();
  });
  after(() => cloud.stop());

  const broken: [string, string, number, string][] = [
    ['another protocol', 'EHLO example.com\r\n\r\n', 400, 'BadRequest'],
    ['a method which there is not', 'FROB / HTTP/1.1\r\n\r\n', 400, 'BadRequest'],
    ['two lengths', 'POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 400, 'BadRequest'],
    [
      'endless headers',
      `GET /services/Cloud?${'a'.repeat(70_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
      431,
      'RequestHeaderSectionTooLarge',
    ],
  ];
  for (const [what, bytes, status, code] of broken) {
    it(`${what}: an XML error, and the next request is served`, async () => {
      const answer = await answerTo(cloud.port, bytes);
      expect(answer).to.match(new RegExp(`^HTTP/1\\.1 ${status} `));
      expect(answer).to.include('Content-Type: text/xml').and.include(`<Code>${code}</Code>`);
      expect((await cloud.as('demo').call('DescribeInstances')).status).to.equal(200);
    });
  }
});

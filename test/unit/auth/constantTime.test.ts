import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { equalInConstantTime } from '../../../common/auth/signing.js';
import { projectRoot } from '../../../common/projectRoot.js';

/** An equality of what only its owner may know with anything but nothing. */
const secretName = String.raw`\b\w*(?:signature|secret(?:Key)?|hmac|mac)\b(?:\([^()]*\)|\.\w+)*`;
const nothing = String.raw`(?:undefined|null|true|false|''|""|\d)`;
const comparison = new RegExp(
  String.raw`${secretName}!?\s*[!=]==?\s*(?!=|\s*${nothing})|(?<![!=]|${nothing}\s*)[!=]==?\s*${secretName}`,
  'i',
);

const files = ['common', 'nova-api', 'nova-objectstore'].flatMap((room) =>
  readdirSync(join(projectRoot(), room), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${room}/${name}`),
);
const textOf = (file: string): string => readFileSync(join(projectRoot(), file), 'utf8');

describe('comparing in constant time', () => {
  it('tells equal texts from others, of whatever lengths', () => {
    for (const text of ['', 'a', 'é', 'x'.repeat(10_000)]) {
      expect(equalInConstantTime(text, text)).to.equal(true);
      for (const other of [`${text}a`, `b${text}`, text.slice(1) || 'c']) {
        expect(equalInConstantTime(text, other)).to.equal(false);
        expect(equalInConstantTime(other, text)).to.equal(false);
      }
    }
  });

  it('is how every signature is compared', () => {
    const [users, natives] = [/\bequalInConstantTime\(/, /\btimingSafeEqual\(/].map((call) =>
      files.filter((file) => call.test(textOf(file))).sort(),
    );
    expect(users).to.deep.equal([
      'common/auth/signing.ts',
      'nova-api/ec2/signatures.ts',
      'nova-objectstore/awsChunked.ts',
      'nova-objectstore/signatures.ts',
    ]);
    expect(natives).to.deep.equal(['common/auth/signing.ts']);
    expect(textOf('common/auth/signing.ts')).to.match(/equalInConstantTime\([^]*?\n\s*return timingSafeEqual\(/);
  });

  it('is not gone round by a comparison which ends at the first difference', () => {
    for (const line of [
      'if (signature === candidate) return;',
      'good = candidate === signature || good;',
      'if (mac(text) !== given)',
      'caller.secretKey == given',
    ]) {
      expect(comparison.test(line), line).to.equal(true);
    }
    for (const line of ["if (caller.secretKey === '') throw x;", 'signature === undefined || x']) {
      expect(comparison.test(line), line).to.equal(false);
    }
    // The rows know whether an administrator changes a secret, and nobody times that.
    const found = files
      .filter((file) => !file.startsWith('common/db/'))
      .flatMap((file) =>
        textOf(file)
          .split('\n')
          .flatMap((line, at) => (comparison.test(line) ? [`${file}:${at + 1}: ${line.trim()}`] : [])),
      );
    expect(found).to.deep.equal([]);
  });
});

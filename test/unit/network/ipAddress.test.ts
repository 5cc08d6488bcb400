import { expect } from 'chai';
import {
  accountIdentifierAddress,
  addressAt,
  contains,
  formatAddress,
  formatCidr,
  netmask,
  parseAddress,
  parseCidr,
  rfc2462Address,
} from '../../../common/ipAddress.js';

describe('addresses', () => {
  it('are read and written, IPv6 in the form of RFC 5952', () => {
    const again = (text: string): string | null => {
      const parsed = parseAddress(text);
      return parsed && formatAddress(parsed.version, parsed.value);
    };
    for (const [text, same] of [
      ['10.0.0.255', '10.0.0.255'],
      ['::', '::'],
      ['::1', '::1'],
      ['FD00:0:0:0:0:0:0:1', 'fd00::1'],
      ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['1::', '1::'],
      ['::ffff:1.2.3.4', '::ffff:102:304'],
      ['256.0.0.1', null],
      ['fe80::1%eth0', null],
      ['x', null],
    ] as const) {
      expect(again(text), text).to.equal(same);
    }
  });

  it('form networks', () => {
    const cidr = parseCidr('10.1.2.3/22')!;
    expect(formatCidr(cidr)).to.equal('10.1.0.0/22');
    expect([addressAt(cidr, 1), addressAt(cidr, cidr.size - 1n), netmask(cidr)]).to.deep.equal([
      '10.1.0.1',
      '10.1.3.255',
      '255.255.252.0',
    ]);
    expect(netmask(parseCidr('0.0.0.0/0')!)).to.equal('0.0.0.0');
    expect(contains(cidr, parseCidr('10.1.3.0/24')!)).to.equal(true);
    expect(contains(cidr, parseCidr('10.1.4.0/24')!)).to.equal(false);
    for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0/8', '::/129', '/8', '10.0.0.0/-1']) {
      expect(parseCidr(text), text).to.equal(null);
    }
  });

  it('of guests on IPv6 follow their MAC', () => {
    expect(rfc2462Address('fd00::/64', '02:16:3e:2a:0b:11')).to.equal('fd00::16:3eff:fe2a:b11');
    expect(rfc2462Address('10.0.0.0/8', '02:16:3e:2a:0b:11')).to.equal(null);
    // sha1('test') begins with a94a8fe5
    expect(accountIdentifierAddress('2001:db8::/64', '02:16:3e:33:44:55', 'test')).to.equal(
      '2001:db8::a94a:8fe5:ff33:4455',
    );
  });
});

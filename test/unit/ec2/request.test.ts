import { expect } from 'chai';
import { Readable } from 'node:stream';
import { splitTarget } from '../../../common/http/target.js';
import { readRequest, requestLimits, type Ec2Request } from '../../../nova-api/ec2/request.js';
import { Refusal } from '../../../nova-api/ec2/refusal.js';
import { readParams, required, text, list, integer } from '../../../nova-api/ec2/params.js';
import { NovaError } from '../../../common/errors.js';
import { doorRequest } from '../../support/ec2.js';

const form = { 'content-type': 'application/x-www-form-urlencoded' };

const get = (query: string): Promise<Ec2Request> =>
  readRequest(doorRequest({ url: `/services/Cloud/?${query}` }), 10_000_000);
const post = (body: string | Buffer, headers: Record<string, string> = form, url = '/'): Promise<Ec2Request> =>
  readRequest(doorRequest({ method: 'POST', url, headers, body: Buffer.from(body as string) }), 1000);

async function refusal(work: Promise<unknown>): Promise<Refusal> {
  try {
    await work;
  } catch (error) {
    expect(error).to.be.instanceOf(Refusal);
    return error as Refusal;
  }
  throw new Error('accepted');
}

describe('EC2 request', () => {
  it('merges query and form; the last of a repeated name wins', async () => {
    const { params } = await post('A=3&B=b+c%2B&C=', form, '/?A=1&A=2&D&&E=%zz%4');
    expect(Object.fromEntries(params)).to.deep.equal({ A: '3', B: 'b c+', C: '', D: '', E: '%zz%4' });
  });

  it('reads UTF-8', async () => {
    const { params } = await get('Name=cl%C3%A9%F0%9F%98%80');
    expect(params.get('Name')).to.equal('clé😀');
  });

  it('looks at no body which is not a form', async () => {
    expect((await post('{"Action":"A"}', { 'content-type': 'application/json' })).params.size).to.equal(0);
    expect((await post('Action=A', {})).params.get('Action')).to.equal('A');
    expect((await post('Action=A', { 'content-type': `${form['content-type']}; charset=UTF-8` })).params.size).to.equal(
      1,
    );
  });

  it('takes the path of an absolute URL', () => {
    expect(splitTarget('http://proxy:1/services/Cloud?a=b?c')).to.deep.equal({
      path: '/services/Cloud',
      query: 'a=b?c',
    });
    expect(splitTarget('?x')).to.deep.equal({ path: '/', query: 'x' });
    expect(splitTarget('//services//Cloud/')).to.deep.equal({ path: '//services//Cloud/', query: '' });
  });

  it('refuses what it cannot take with 4xx', async () => {
    expect(await refusal(get('A=%ff'))).to.include({ status: 400, code: 'MalformedQueryString' });
    expect(await refusal(get('A=%c3%28'))).to.include({ status: 400, code: 'MalformedQueryString' });
    expect(await refusal(get('%ff=1'))).to.include({ status: 400 });
    expect(await refusal(get('a%20b=1'))).to.include({ status: 400 });
    expect(await refusal(get('%c3%a9=1'))).to.include({ status: 400 });
    expect(await refusal(get('A=%00'))).to.include({ status: 400, code: 'InvalidParameterValue' });
    expect(await refusal(get('A=a%1bb'))).to.include({ status: 400 });
    expect(await refusal(get(`${'n'.repeat(requestLimits.name + 1)}=1`))).to.include({ status: 400 });
    expect(await refusal(get(`A=${'v'.repeat(requestLimits.value + 1)}`))).to.include({ status: 400 });
    expect(await refusal(get('A=1&'.repeat(requestLimits.parameters + 1)))).to.include({ status: 400 });
    expect(await refusal(post('x'.repeat(1001)))).to.include({ status: 413 });
    expect(await refusal(post(Buffer.from([0x41, 0x3d, 0xff])))).to.include({ status: 400 });
  });

  it('takes what is just within the limits', async () => {
    expect((await get(`A=${'v'.repeat(requestLimits.value)}`)).params.get('A')).to.have.length(requestLimits.value);
    expect((await get('A=1&'.repeat(requestLimits.parameters))).params.size).to.equal(1);
    expect((await post(`A=${'x'.repeat(998)}`)).body).to.have.length(1000);
  });

  it('refuses a body which breaks off', async () => {
    const broken = new Readable({ read() {} });
    broken.push('Action=Run');
    setImmediate(() => broken.destroy());
    expect(
      await refusal(readRequest(doorRequest({ method: 'POST', url: '/', headers: form, body: broken }), 1000)),
    ).to.include({
      status: 400,
      code: 'IncompleteBody',
    });
  });

  it('gives no form of parameters a 500: every malformed one is a NovaError or a Refusal', async () => {
    const specs = {
      Name: required(text),
      InstanceId: list(text),
      Size: integer(0, 10),
    };
    const names = [
      'Name',
      'Name.',
      '.Name',
      'Name.1',
      'Name.1.2.3.4.5.6.7.8.9.10',
      '..',
      '.',
      'InstanceId',
      'InstanceId.x',
      'InstanceId.99999999999',
      'InstanceId.-1',
      'InstanceId.1.a',
      'Size',
      'Size.1',
      '__proto__',
      '__proto__.x',
      'constructor',
      'constructor.prototype.x',
      'toString',
      'hasOwnProperty.1',
    ];
    const values = [
      '',
      '0x',
      '-',
      'nan',
      '1e5',
      '99999999999999999999',
      'true',
      '%',
      '%2',
      '+',
      '٣',
      'i-',
      'null',
      '[]',
      '\u2028',
    ];
    let outcomes = 0;
    for (const name of names) {
      for (const value of values) {
        for (const second of ['Name=n', 'Name.1=n', 'InstanceId.1=i', 'x']) {
          try {
            const { params } = await get(`${name}=${encodeURIComponent(value)}&${second}`);
            readParams(specs, params);
          } catch (error) {
            expect(
              error instanceof NovaError || error instanceof Refusal,
              `${name}=${value}: ${String(error)}`,
            ).to.equal(true);
          }
          outcomes++;
        }
      }
    }
    expect(outcomes).to.equal(names.length * values.length * 4);
    expect(({} as Record<string, unknown>)['x'], 'no prototype was changed').to.equal(undefined);
  });
});

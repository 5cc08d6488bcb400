import { expect } from 'chai';
import { addIndexes } from '../../../common/db/indexes.js';
import { dbTime } from '../../../common/time.js';
import { type Answer, type ApiCloud, startApiCloud, textOf, unlimited } from '../../support/apiCloud.js';

const hourMs = 3_600_000;

describe('the client token of RunInstances', function () {
  this.timeout(60_000);
  let cloud: ApiCloud;
  const run = (token: string, type = 'm1.tiny'): Promise<Answer> =>
    cloud.as('demo').call('RunInstances', { ImageId: cloud.image, InstanceType: type, ClientToken: token });
  const made = async (): Promise<number> => (await cloud.db.all('SELECT id FROM instances')).length;

  beforeEach(async () => {
    cloud = await startApiCloud(unlimited);
  });
  afterEach(() => cloud.stop());

  it('lets a repeated request answer what the first one made, and refuses another request', async () => {
    const first = await run('one');
    expect(textOf(await run('one'), 'reservationId')).to.equal(textOf(first, 'reservationId'));
    expect((await run('one', 'm1.small')).code).to.equal('IdempotentParameterMismatch');
    const other = await cloud.as('other').ok('RunInstances', { ImageId: cloud.image, ClientToken: 'one' });
    expect(textOf(other, 'reservationId')).not.to.equal(textOf(first, 'reservationId'));
    expect(await made()).to.equal(2);
  });

  it('gives racing requests with one token one reservation', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => run('race')));
    expect(new Set(answers.map((answer) => textOf(answer, 'reservationId'))).size).to.equal(1);
    expect(await made()).to.equal(1);
  });

  it('forgets a token after a day, and removes it', async () => {
    const first = await run('day');
    const age = (hours: number): Promise<number> =>
      cloud.db.run('UPDATE ext_client_tokens SET created_at = ?', [dbTime(Date.now() - hours * hourMs)]);
    await age(23);
    expect(textOf(await run('day'), 'reservationId')).to.equal(textOf(first, 'reservationId'));
    await age(25);
    expect(textOf(await run('day', 'm1.small'), 'reservationId')).not.to.equal(textOf(first, 'reservationId'));
    const tokens = await cloud.db.all<{ token: string }>('SELECT token FROM ext_client_tokens');
    expect(tokens.map(({ token }) => token)).to.deep.equal(['day']);
  });

  it('has no effect, with one warning, on a database which Python made; until nova-manage db index', async () => {
    await cloud.db.run('DROP TABLE ext_client_tokens');
    for (const count of [1, 2]) {
      expect((await run('lost')).status).to.equal(200);
      expect(await made()).to.equal(count);
    }
    const warnings = cloud.log.lines.filter((line) => line.startsWith('WARNING') && line.includes('ClientToken'));
    expect(warnings).to.have.length(1);
    expect(warnings[0]).to.include('nova-manage db index');
    expect(await addIndexes(cloud.db)).to.include('ext_client_tokens');
    const first = await run('kept');
    expect(textOf(await run('kept'), 'reservationId')).to.equal(textOf(first, 'reservationId'));
    expect(await made()).to.equal(3);
  });
});

describe('the client token of CreateVolume', function () {
  this.timeout(60_000);
  let cloud: ApiCloud;
  const create = (token: string, size = '1', user: 'demo' | 'other' = 'demo'): Promise<Answer> =>
    cloud.as(user).call('CreateVolume', { Size: size, ClientToken: token });
  const made = async (): Promise<number> => (await cloud.db.all('SELECT id FROM volumes')).length;

  before(async () => {
    cloud = await startApiCloud(unlimited);
  });
  after(() => cloud.stop());

  it('lets a repeated request answer what the first one made, and refuses another request', async () => {
    const first = await create('one');
    expect(textOf(await create('one'), 'volumeId')).to.equal(textOf(first, 'volumeId'));
    expect((await create('one', '2')).code).to.equal('IdempotentParameterMismatch');
    const run = await cloud.as('demo').call('RunInstances', { ImageId: cloud.image, ClientToken: 'one' });
    expect(run.code, 'another action').to.equal('IdempotentParameterMismatch');
    const other = await create('one', '1', 'other');
    expect(textOf(other, 'volumeId')).not.to.equal(textOf(first, 'volumeId'));
    expect((await create('x'.repeat(65))).code).to.equal('InvalidParameterValue');
    expect(await made()).to.equal(2);
  });

  it('gives racing requests with one token one volume', async () => {
    const before = await made();
    const answers = await Promise.all(Array.from({ length: 10 }, () => create('race')));
    expect(new Set(answers.map((answer) => textOf(answer, 'volumeId'))).size).to.equal(1);
    expect(await made()).to.equal(before + 1);
  });

  it('does not make again a volume which is gone', async () => {
    const id = textOf(await create('gone'), 'volumeId');
    await cloud.db.run('UPDATE volumes SET deleted = ? WHERE id = ?', [true, Number.parseInt(id!.slice(4), 16)]);
    expect((await create('gone')).code).to.equal('VolumeNotFound');
  });
});

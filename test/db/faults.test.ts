import { expect } from 'chai';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { openDatabase } from '../../common/db/database.js';
import { syncDatabase } from '../../common/db/sync.js';
import { DBError, StartupError } from '../../common/errors.js';
import { Mariadb } from '../support/mariadb.js';
import { Postgres } from '../support/postgres.js';
import { testRuntime } from '../support/runtime.js';
import { freePort } from '../support/serverProcess.js';

const caught = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

for (const [dialect, start] of [
  ['postgresql', () => Postgres.start()],
  ['mysql', () => Mariadb.start()],
] as const) {
  describe(`a ${dialect} server`, function () {
    this.timeout(180_000);
    // Not the one which the suites share: a failure here must not be theirs.
    let own: Postgres | Mariadb;
    const server = async (): Promise<Postgres | Mariadb> => own;
    before(async () => {
      own = await start();
    });
    after(() => own.stop());

    it('which refuses the password or has no such database ends the start with a sentence without the password', async () => {
      const url = await (await server()).freshDatabase();
      for (const wrong of [url.replace('p%40ss', 's3cret'), url.replace(/nova_\d+/, 'nowhere')]) {
        const { runtime, log } = testRuntime({ sql_connection: wrong });
        const error = await caught(openDatabase(runtime).connect());
        expect(error).to.be.instanceOf(StartupError);
        expect((error as Error).message).to.match(/--sql_connection/);
        expect(`${(error as Error).message} ${log.lines.join(' ')}`).not.to.match(/s3cret|p@ss|p%40ss/);
      }
    });

    it('which is away is tried as often as the flags say, one line an attempt', async () => {
      const url = (await (await server()).freshDatabase()).replace(/:\d+\//, `:${await freePort()}/`);
      const { runtime, log } = testRuntime({ sql_connection: url, sql_max_retries: 3, sql_retry_interval: 0 });
      expect(await caught(openDatabase(runtime).connect())).to.be.instanceOf(StartupError);
      expect(log.lines.filter((line) => /No answer from the database/.test(line))).to.have.length(2);
      expect(log.lines.join(' ')).not.to.match(/p@ss|p%40ss/);
    });

    it('which comes up later is found', async () => {
      const one = await server();
      const { runtime, log } = testRuntime({ sql_connection: await one.freshDatabase(), sql_retry_interval: 0 });
      const db = openDatabase(runtime);
      await one.kill9();
      const connected = db.connect();
      while (!log.lines.some((line) => /No answer/.test(line))) await runtime.sleep(20);
      await one.restart();
      await connected;
      await db.close();
    });

    it('which is killed fails operations with DBError, and they work again after its restart', async () => {
      const one = await server();
      const { runtime } = testRuntime({ sql_connection: await one.freshDatabase() });
      const db = openDatabase(runtime);
      await syncDatabase(db);
      await db.insert('networks', { label: 'kept' });
      await one.kill9();
      expect(await caught(db.insert('networks', { label: 'lost' }))).to.be.instanceOf(DBError);
      expect(await caught(db.all('SELECT * FROM networks'))).to.be.instanceOf(DBError);
      expect(await caught(db.transaction((tx) => tx.all('SELECT * FROM networks')))).to.be.instanceOf(DBError);
      await one.restart();
      expect(await db.transaction((tx) => tx.all('SELECT label FROM networks'))).to.deep.equal([{ label: 'kept' }]);
      expect(await db.all('SELECT label FROM networks')).to.deep.equal([{ label: 'kept' }]);
      await db.close();
    });

    it('whose connections are all taken makes statements and transactions wait for one', async () => {
      const one = await server();
      const url = await one.freshDatabase();
      const { runtime } = testRuntime({ sql_connection: url });
      const first = openDatabase(runtime);
      await syncDatabase(first);
      await first.close();
      const taken: { end(): Promise<void> }[] = [];
      const full = await caught(
        (async () => {
          for (;;) taken.push(await one.connect(url));
        })(),
      );
      expect((full as Error).message).to.match(/too many/i);
      const db = openDatabase(runtime);
      const waiting = Promise.all([
        caught(db.insert('networks', { label: 'statement' })),
        caught(db.transaction((tx) => tx.insert('networks', { label: 'transaction' }))),
      ]);
      // longer than a lost connection is waited for
      await runtime.sleep(2000);
      await Promise.all(taken.map((session) => session.end()));
      expect(await waiting).to.deep.equal([undefined, undefined]);
      const labels = await db.all<{ label: string }>('SELECT label FROM networks');
      expect(labels.map(({ label }) => label)).to.have.members(['statement', 'transaction']);
      await db.close();
    });

    it('which restarts within a transaction makes it run again', async () => {
      const one = await server();
      const { runtime } = testRuntime({ sql_connection: await one.freshDatabase() });
      const db = openDatabase(runtime);
      await syncDatabase(db);
      let runs = 0;
      await db.transaction(async (tx) => {
        runs += 1;
        await tx.insert('networks', { label: `run ${runs}` });
        if (runs === 1) await one.restart();
        await tx.insert('networks', { label: 'second' });
      });
      const labels = await db.all('SELECT label FROM networks ORDER BY id');
      expect(labels).to.deep.equal([{ label: 'run 2' }, { label: 'second' }]);
      await db.close();
    });

    it('which restarts again and again commits once what asks whether it has been', async () => {
      const one = await server();
      const { runtime } = testRuntime({ sql_connection: await one.freshDatabase() });
      const db = openDatabase(runtime);
      await syncDatabase(db);
      const labels: string[] = [];
      let over = false;
      const asking = (label: string): Promise<unknown> =>
        db.transaction(
          async (tx) => {
            await tx.insert('networks', { label });
            return label;
          },
          async (tx) =>
            (await tx.first<{ label: string }>('SELECT label FROM networks WHERE label = ?', [label]))?.label,
        );
      const repeatable = (label: string): Promise<unknown> =>
        db.transaction(async (tx) => {
          await tx.lock(label);
          const absent = 'WHERE NOT EXISTS (SELECT 1 FROM networks WHERE label = ?)';
          const add = `INSERT INTO networks (label, deleted) SELECT label, ? FROM (SELECT CAST(? AS CHAR(40)) AS label) n ${absent}`;
          return tx.ending(() => tx.run(add, [false, label, label]));
        });
      const users = Array.from({ length: 16 }, async (_, user) => {
        for (let count = 0; !over; count += 1) {
          const label = `${user} ${count}`;
          const isRepeatable = user % 2 === 1;
          let error = await caught(isRepeatable ? repeatable(label) : asking(label));
          while (isRepeatable && error instanceof DBError && ['lost', 'unknown'].includes(error.reason)) {
            error = await caught(repeatable(label));
          }
          if (error === undefined) labels.push(label);
          // a server which takes its time has surely done nothing
          else if (!(error instanceof DBError && error.reason === 'lost')) throw error;
        }
      });
      for (let count = 0; count < 3; count += 1) {
        await runtime.sleep(300);
        await one.restart();
      }
      over = true;
      await Promise.all(users);
      const made = await db.all<{ label: string }>('SELECT label FROM networks');
      expect(made.map(({ label }) => label)).to.have.members(labels);
      await db.close();
    });

    for (const where of ['statements', 'transactions'] as const) {
      it(`whose tables get another column while ${where} use them goes on serving them`, async () => {
        const one = await server();
        const url = await one.freshDatabase();
        const { runtime } = testRuntime({ sql_connection: url, sql_max_pool_size: 2 });
        const db = openDatabase(runtime);
        await syncDatabase(db);
        await db.insert('networks', { label: 'mine' });
        const select = 'SELECT * FROM networks WHERE label = ?';
        const read = (): Promise<object[]> =>
          where === 'statements' ? db.all(select, ['mine']) : db.transaction((tx) => tx.all(select, ['mine']));
        for (let count = 0; count < 20; count += 1) await read();
        // past the product's code: its connections keep what they have prepared
        await one.query(url, 'ALTER TABLE networks ADD COLUMN extra VARCHAR(10)');
        for (let count = 0; count < 3; count += 1) expect((await read())[0]).to.have.property('extra', null);
        await db.close();
      });
    }

    it('answers reads of one moment each with its own, also when one of them fails', async () => {
      const { runtime } = testRuntime({ sql_connection: await (await server()).freshDatabase() });
      const db = openDatabase(runtime);
      await syncDatabase(db);
      const found = await Promise.all([
        db.all<{ one: number }>('SELECT 1 AS one'),
        caught(db.all('SELECT nonsense FROM nowhere')),
        db.all<{ id: number }>('SELECT id FROM instance_types ORDER BY id LIMIT 2'),
      ]);
      expect(found[0]).to.deep.equal([{ one: 1 }]);
      expect(found[1]).to.be.instanceOf(DBError);
      expect(found[2]).to.deep.equal([{ id: 1 }, { id: 2 }]);
      await db.close();
    });
  });
}

describe('a PostgreSQL which ends while it lets in', () => {
  let server: Postgres;
  let between: Server;
  before(async () => (server = await Postgres.start()));
  after(async () => {
    between?.close();
    await server?.stop();
  });

  /** The FATAL message of a shutdown (PostgreSQL 15, 55.7 ErrorResponse). */
  function goodbye(): Buffer {
    const text = Buffer.from('SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0');
    const head = Buffer.from('E\0\0\0\0');
    head.writeInt32BE(text.length + 4, 1);
    return Buffer.concat([head, text]);
  }

  it('and says so in the packet in which it does costs a connection, not the process', async () => {
    const ready = Buffer.from('Z\0\0\0\x05I', 'latin1');
    let farewells = 0;
    between = createServer((client) => {
      const real = connect(server.port, '127.0.0.1');
      client.on('error', () => undefined).on('close', () => real.destroy());
      real.on('error', () => undefined).on('close', () => client.destroy());
      client.on('data', (data) => real.write(data));
      real.on('data', (data) => {
        if (farewells === 0 && data.subarray(-ready.length).equals(ready)) {
          farewells += 1;
          client.end(Buffer.concat([data, goodbye()]));
        } else client.write(data);
      });
    });
    await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve));
    const { port } = between.address() as AddressInfo;
    const url = (await server.freshDatabase()).replace(`:${server.port}/`, `:${port}/`);
    const db = openDatabase(testRuntime({ sql_connection: url }).runtime);
    expect(await db.all('SELECT 1 AS one')).to.deep.equal([{ one: 1 }]);
    expect(farewells).to.equal(1);
    await db.close();
  });
});

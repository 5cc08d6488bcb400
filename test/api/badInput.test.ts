import { expect } from 'chai';
import { parseStringPromise } from 'xml2js';
import { absentActions } from '../../nova-api/ec2/absent.js';
import { novaTables, ownTables } from '../../common/db/schema.js';
import { cloudActions } from '../../nova-api/ec2/index.js';
import { type Answer, type ApiCloud, type Caller, startApiCloud, textsOf, unlimited } from '../support/apiCloud.js';
import { type Belongings, DemoWorld, requestOf } from '../support/apiRequests.js';
import { badRequests } from '../support/badInput.js';

/** What an answer of ours never holds: where the code is, what it said to the database, what the machine said. */
const insides =
  /\bat (?:[\w.<>]+ )?\(?(?:file:|node:|\/)|node_modules|SQLITE|ECONN|ENOENT|SELECT |INSERT |UPDATE |undefined|\[object/;

/** Throws unless the answer is one which the contract knows. */
async function checkForm(answer: Answer, what: string): Promise<void> {
  const shown = `${what}: ${answer.status} ${answer.xml.slice(0, 600)}`;
  expect(answer.contentType, shown).to.equal('text/xml');
  const document = (await parseStringPromise(answer.xml)) as Record<string, Record<string, unknown[]>>;
  if (answer.status === 200) {
    expect(Object.keys(document)[0], shown).to.match(/Response$/);
    return;
  }
  expect(answer.status, shown).to.be.within(400, 499);
  expect(Object.keys(document), shown).to.deep.equal(['Response']);
  const { Errors: [errors] = [], RequestID: [id] = [] } = document['Response']!;
  const [error] = (errors as { Error: Record<string, string[]>[] }).Error;
  expect(Object.keys(error!), shown).to.deep.equal(['Code', 'Message']);
  expect(error!['Code']![0], shown)
    .to.match(/^[A-Z][A-Za-z0-9]+(\.[A-Z][A-Za-z]+)?$/)
    .and.not.equal('UnknownError');
  expect(error!['Message']![0]!.length, shown).to.be.within(1, 1000);
  expect(error!['Message']![0], shown).not.to.match(insides);
  expect(id, shown).to.match(/^[0-9a-f-]{36}$/);
}

describe('bad input to EC2 actions', function () {
  this.timeout(120_000);
  let cloud: ApiCloud;
  let world: DemoWorld;
  let demo: Caller;
  /** Instances which are no longer wanted. */
  const started: string[] = [];

  before(async () => {
    // A wish for billions of instances gets what the quota leaves.
    cloud = await startApiCloud({ ...unlimited, quota_instances: 100 });
    world = new DemoWorld(cloud);
    demo = cloud.as('demo');
    await world.renew();
  });
  after(() => cloud.stop());

  /** Lets an accepted request come to its end, and takes away what it has made, so that nothing runs out. */
  async function finish(action: string, answer: Answer, has: Belongings): Promise<void> {
    const volume = (id: string): Promise<{ status: string } | undefined> =>
      cloud.db.first('SELECT status FROM volumes WHERE id = ?', [parseInt(id.slice(4), 16)]);
    const address = (text: string): Promise<{ project_id: string | null; fixed_ip_id: number | null } | undefined> =>
      cloud.db.first('SELECT project_id, fixed_ip_id FROM floating_ips WHERE address = ?', [text]);
    switch (action) {
      case 'RunInstances':
        started.push(...textsOf(answer, 'instanceId'));
        if (started.length < 50) break;
        await demo.ok(
          'TerminateInstances',
          Object.fromEntries(started.splice(0).map((id, index) => [`InstanceId.${index + 1}`, id])),
        );
        break;
      case 'CreateVolume':
        await cloud.settle();
        for (const id of textsOf(answer, 'volumeId')) await demo.call('DeleteVolume', { VolumeId: id });
        break;
      case 'AttachVolume':
        await until(async () => (await volume(has.volume))?.status === 'in-use');
        await demo.ok('DetachVolume', { VolumeId: has.volume });
        await until(async () => (await volume(has.volume))?.status === 'available');
        break;
      case 'DetachVolume':
        await until(async () => (await volume(has.attached))?.status === 'available');
        break;
      case 'AssociateAddress':
        await until(async () => (await address(has.address))?.fixed_ip_id != null);
        await demo.ok('DisassociateAddress', { PublicIp: has.address });
        break;
      case 'ReleaseAddress':
        await until(async () => (await address(has.address))?.project_id === null);
        break;
    }
    await cloud.settle();
  }

  /** Throws when a text is longer than its column: SQLite keeps it, PostgreSQL and MySQL would not. */
  async function checkLengths(what: string): Promise<void> {
    for (const table of [...novaTables, ...ownTables]) {
      const bounded = table.columns.filter((column) => column.kind === 'string');
      if (bounded.length === 0) continue;
      const conditions = bounded.map((column) => `LENGTH("${column.name}") > ${column.length ?? 255}`).join(' OR ');
      const longer = await cloud.db.first(`SELECT * FROM "${table.name}" WHERE ${conditions}`);
      expect(longer, `${what}: too long for ${table.name}`).to.equal(undefined);
    }
  }

  for (const [action, { params, roles }] of cloudActions()) {
    if (Object.hasOwn(absentActions, action)) continue;
    it(`${action} takes or refuses whatever its parameters are`, async () => {
      let has = await world.renew();
      let tries = [...badRequests(params, requestOf(action, has))];
      for (let index = 0; index < tries.length; index++) {
        const { what: wrong, body, wish } = tries[index]!;
        const what = `${action} with ${wrong}`;
        const [logged, changes] = [cloud.log.lines.length, await cloud.changes()];
        const answer = await demo.call(action, body);
        await checkForm(answer, what);
        const alarms = cloud.log.lines.slice(logged).filter((line) => /^(ERROR|CRITICAL) nova\.api/.test(line));
        expect(alarms, what).to.deep.equal([]);
        if (answer.status === 200) {
          expect(wish, `${what} was accepted: ${answer.xml.slice(0, 400)}`).to.equal('any');
          if (action.startsWith('Describe') || action === 'GetConsoleOutput') continue;
          await finish(action, answer, has);
          if (/characters|as long as/.test(wrong)) await checkLengths(what);
          has = usesUp.has(action) ? await world.renew() : world.next();
          tries = [...badRequests(params, requestOf(action, has))];
        } else if ((await cloud.changes()) !== changes) {
          // Rolled back, or a late write of an earlier request? The same request tells by the rows themselves.
          await cloud.settle();
          const stored = await cloud.contents();
          expect((await demo.call(action, body)).status, what).not.to.equal(200);
          expect(await cloud.contents(), `rows after ${what}`).to.deep.equal(stored);
        }
      }
      // The next request is served as ever.
      has = await world.renew();
      const last = await demo.call(action, requestOf(action, has));
      // What administrators alone may do is refused before its parameters are read.
      expect(last.status, last.xml).to.equal(roles.length === 0 ? 401 : 200);
      await finish(action, last, has);
    });
  }
});

/** Actions after which something is no longer what it was. */
const usesUp: ReadonlySet<string> = new Set([
  'TerminateInstances',
  'StopInstances',
  'StartInstances',
  'RebootInstances',
  'DeleteVolume',
  'AttachVolume',
  'DetachVolume',
  'DeleteSnapshot',
  'ReleaseAddress',
  'AssociateAddress',
  'DisassociateAddress',
  'DeleteSecurityGroup',
  'RevokeSecurityGroupIngress',
  'ModifyImageAttribute',
  'DeregisterImage',
]);

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let round = 0; !(await condition()); round++) {
    if (round > 3000) throw new Error('The cloud does not come to rest');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

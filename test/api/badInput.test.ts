import { expect } from 'chai';
import { parseStringPromise } from 'xml2js';
import { absentActions } from '../../nova-api/ec2/absent.js';
import { novaTables, ownTables } from '../../common/db/schema.js';
import { adminActions } from '../../nova-api/ec2/admin.js';
import { cloudActions } from '../../nova-api/ec2/index.js';
import { cloudpipeImage } from '../support/accountWorld.js';
import { type Accounts, AdminWorld, adminRequestOf } from '../support/adminRequests.js';
import { type Answer, type ApiCloud, type Caller, startApiCloud, textsOf, unlimited } from '../support/apiCloud.js';
import { type Belongings, DemoWorld, requestOf, type RequestParams } from '../support/apiRequests.js';
import { type BadRequest, badRequests, mattersToDatabases } from '../support/badInput.js';
import { postgres } from '../support/postgres.js';

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
  if (answer.status === 503) {
    expect(
      [...consoles].some((action) => what.startsWith(action)),
      shown,
    ).to.equal(true);
    expect(answer.message, shown).to.match(/^No console proxy takes the messages of topic \w+\./);
  } else expect(answer.status, shown).to.be.within(400, 499);
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

/** Where it is tried, and with which of the wrong requests. */
const databases = [
  { on: 'SQLite', url: async () => 'sqlite://', only: /^/ },
  { on: 'PostgreSQL', url: async () => (await postgres()).freshDatabase(), only: mattersToDatabases },
];

for (const { on, url, only } of databases) {
  describe(`bad input to EC2 actions, on ${on}`, function () {
    this.timeout(300_000);
    let cloud: ApiCloud;
    let world: DemoWorld;
    let accounts: AdminWorld;
    let others: Belongings;
    let demo: Caller;
    let admin: Caller;
    /** Instances which are no longer wanted. */
    const started: string[] = [];

    before(async () => {
      // A wish for billions of instances gets what the quota leaves.
      cloud = await startApiCloud({ ...unlimited, sql_connection: await url(), quota_instances: 100, vpn_image_id: 2 });
      await cloudpipeImage(cloud, 2);
      [world, accounts] = [new DemoWorld(cloud), new AdminWorld(cloud)];
      [demo, admin] = [cloud.as('demo'), cloud.as('admin').at({ endpoint: '/services/Admin' })];
      await world.renew();
      await accounts.renew();
      others = await new DemoWorld(cloud, 'other').renew();
    });
    after(() => cloud.stop());

    /** What the other project has of the kind of a value which is demo's. */
    const foreign =
      (has: Belongings) =>
      (value: string): string | undefined => {
        const [kind] = Object.entries(has).find(([, own]) => own === value) ?? [];
        return kind === undefined ? undefined : String(others[kind as keyof Belongings]);
      };

    /** The rows of the other project and its user. */
    async function ofOthers(): Promise<string[]> {
      return Object.values(await cloud.contents())
        .flat()
        .filter((row) => /"(project_id|user_id)":"other"/.test(row));
    }

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

    /** Sends one wrong request and looks at everything which it must not have done; answers what came back. */
    async function tryOne(caller: Caller, action: string, { what: wrong, body, wish }: BadRequest): Promise<Answer> {
      const what = `${action} with ${wrong}`;
      const [logged, changes] = [cloud.log.lines.length, await cloud.changes()];
      const others = wish === 'hidden' ? await ofOthers() : [];
      const answer = await caller.call(action, body);
      await checkForm(answer, what);
      const alarms = cloud.log.lines.slice(logged).filter((line) => /^(ERROR|CRITICAL) nova\.api/.test(line));
      expect(answer.status === 503 ? [] : alarms, what).to.deep.equal([]);
      if (answer.status === 200) {
        expect(wish, `${what} was accepted: ${answer.xml.slice(0, 400)}`).not.to.equal('refused');
        if (/characters|as long as/.test(wrong)) await checkLengths(what);
      } else if ((await cloud.changes()) !== changes) {
        // Rolled back, or a late write of an earlier request? The same request tells by the rows themselves.
        await cloud.settle();
        const stored = await cloud.contents();
        expect((await caller.call(action, body)).status, `${what}: ${answer.xml}`).not.to.equal(200);
        expect(await cloud.contents(), `rows after ${what}`).to.deep.equal(stored);
      }
      if (wish === 'hidden') {
        if (action.startsWith('Describe')) expect(answer.xml, what).not.to.contain('<item>');
        if (answer.status === 200)
          expect(ignoresOthers.has(`${action} ${wrong.split(':')[0]}`), `${what}: ${answer.xml}`).to.equal(true);
        await cloud.settle();
        expect(await ofOthers(), `rows of the other project after ${what}`).to.deep.equal(others);
      }
      return answer;
    }

    for (const [action, { params, roles }] of cloudActions()) {
      if (Object.hasOwn(absentActions, action)) continue;
      it(`${action} takes or refuses whatever its parameters are`, async () => {
        // What administrators alone may do would be refused before its parameters are read.
        const caller = roles.length === 0 ? cloud.as('admin') : demo;
        let has = await world.renew();
        const wrongs = (): BadRequest[] =>
          [...badRequests(params, requestOf(action, has), roles.length === 0 ? undefined : foreign(has))].filter(
            ({ what }) => only.test(what),
          );
        for (let [index, tries] = [0, wrongs()]; index < tries.length; index++) {
          const wrong = tries[index]!;
          const answer = await tryOne(caller, action, wrong);
          if (answer.status !== 200 || action.startsWith('Describe') || action === 'GetConsoleOutput') continue;
          await finish(action, answer, has);
          has = usesUp.has(action) ? await world.renew() : world.next();
          tries = wrongs();
        }
        // The next request is served as ever.
        has = await world.renew();
        const last = await caller.call(action, requestOf(action, has));
        expect(last.status, last.xml).to.equal(consoles.has(action) ? 503 : 200);
        await finish(action, last, has);
      });
    }

    for (const [action, { params }] of adminActions()) {
      it(`${action} of the Admin endpoint takes or refuses whatever its parameters are`, async () => {
        let has: Accounts = await accounts.renew();
        const wrongs = (): BadRequest[] =>
          [...badRequests(params, adminRequestOf(action, has))].filter(({ what }) => only.test(what));
        for (let [index, tries] = [0, wrongs()]; index < tries.length; index++) {
          const answer = await tryOne(admin, action, tries[index]!);
          if (answer.status !== 200 || action.startsWith('Describe')) continue;
          has = usesUp.has(action) ? await accounts.renew() : accounts.next();
          tries = wrongs();
        }
        const request: RequestParams = adminRequestOf(action, await accounts.renew());
        await admin.ok(action, request);
      });
    }
  });
}

/** Where another project's thing is left out, as one is which doesn't exist, or may be named. */
const ignoresOthers: ReadonlySet<string> = new Set([
  'DescribeInstances InstanceId.1',
  'DescribeInstancesV6 InstanceId.1',
  'DescribeInstanceStatus InstanceId.1',
  'DescribeKeyPairs KeyName.1',
  // A volume is on one instance, so that 2011.3 doesn't look at which one is named.
  'DetachVolume InstanceId',
  // What another project's instances send may be let in.
  'AuthorizeSecurityGroupIngress SourceSecurityGroupName',
  'AuthorizeSecurityGroupIngress IpPermissions.1.Groups.1.GroupName',
  'AuthorizeSecurityGroupIngress IpPermissions.1.Groups.1.GroupId',
]);

/** Unavailable where no console proxy runs. */
const consoles: ReadonlySet<string> = new Set(['GetAjaxConsole', 'GetVncConsole']);

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
  'RescueInstance',
  'UnrescueInstance',
  'DeregisterUser',
  'DeregisterProject',
  'ModifyProjectMember',
  'RemoveExternalAddressBlock',
]);

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let round = 0; !(await condition()); round++) {
    if (round > 3000) throw new Error('The cloud does not come to rest');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

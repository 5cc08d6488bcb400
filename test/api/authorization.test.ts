import { expect } from 'chai';
import { absentActions } from '../../nova-api/ec2/absent.js';
import { adminActions } from '../../nova-api/ec2/admin.js';
import { cloudActions } from '../../nova-api/ec2/index.js';
import { type AccountWorld, accountWorld, cloudpipeImage } from '../support/accountWorld.js';
import { type Answer, type CallParams, type Endpoint, formOf } from '../support/apiCaller.js';
import { type CloudKind, cloudKinds } from '../support/apiProcesses.js';
import { accessKeyOf, secretKeyOf, unlimited } from '../support/apiUsers.js';
import {
  answersOf,
  type AuthorizationTable,
  type Namespace,
  readAuthorizationTable,
} from '../support/authorizationTable.js';
import { queryV4, signedV2 } from '../support/ec2.js';
import { troublesOf, type WalkedCloud, withoutChange } from '../support/walkedCloud.js';

type Call = (action: string, params: CallParams) => Promise<Answer>;

const hour = 3_600_000;

/** Who calls, by the table's columns; every request is about what demo of project demo has. */
function callers(cloud: WalkedCloud, endpoint: Endpoint): Record<string, Call> {
  const by =
    (user: Parameters<WalkedCloud['as']>[0], project?: string): Call =>
    (action, params) =>
      cloud.as(user, project).at({ endpoint }).call(action, params);
  const keys = { access: `${accessKeyOf('demo')}:demo`, secret: secretKeyOf('demo'), host: `127.0.0.1:${cloud.port}` };
  const second = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+/, '');
  const version2 =
    (more: Record<string, string>): Call =>
    (action, params) =>
      cloud.send(
        signedV2(
          action,
          { ...(params as Record<string, string>), ...more },
          { ...keys, path: endpoint, method: 'POST' },
        ),
      );
  return {
    'no credentials': (action, params) => cloud.anonymous(action, params, endpoint),
    'wrong signature': (action, params) =>
      cloud.caller(keys.access, secretKeyOf('other')).at({ endpoint }).call(action, params),
    'expired Timestamp': version2({ Timestamp: second(Date.now() - hour) }),
    'expired Expires': version2({ Timestamp: second(Date.now()), Expires: second(Date.now() - 1000) }),
    'expired X-Amz-Date': (action, params) => cloud.as('demo').at({ endpoint, late: hour }).call(action, params),
    'expired X-Amz-Expires': (action, params) => {
      const body = formOf({ Action: action, Version: '2016-11-15', ...(params as Record<string, string>) });
      return cloud.send(queryV4({ ...keys, path: endpoint, body, now: Date.now() - 60_000, expires: 59 }));
    },
    'unknown key': (action, params) =>
      cloud.caller('nobody:demo', secretKeyOf('demo')).at({ endpoint }).call(action, params),
    'no project': by('demo', 'nowhere'),
    'not a member': by('other', 'demo'),
    'without roles': by('roleless'),
    'roles globally': by('globally'),
    'roles in project': by('locally'),
    developer: by('developer'),
    netadmin: by('netadmin'),
    sysadmin: by('sysadmin'),
    projectmanager: by('manager'),
    itsec: by('itsec'),
    cloudadmin: by('cloudadmin'),
    'other project': by('other'),
    administrator: by('admin'),
  };
}

describe('who may call which EC2 action', function () {
  this.timeout(300_000);
  const table = readAuthorizationTable();

  for (const { on, start } of cloudKinds) {
    describe(`on ${on}`, () => walks(table, start));
  }
});

function walks(table: AuthorizationTable, start: CloudKind['start']): void {
  let cloud: WalkedCloud;
  let worlds: Record<Namespace, AccountWorld>;

  before(async () => {
    cloud = await start({ ...unlimited, ec2_timestamp_window: 900, vpn_image_id: 2 });
    await cloudpipeImage(cloud, 2);
    worlds = accountWorld(cloud);
    // What a project gets at its first use is no change which a refused request makes.
    for (const user of ['demo', 'other', 'admin'] as const) await cloud.as(user).ok('DescribeSecurityGroups');
  });
  after(() => cloud.stop());

  /** Calls an action as these callers, side by side; answers what each got, as the table has it. */
  async function outcomes(
    namespace: Namespace,
    action: string,
    names: readonly string[],
    request: CallParams,
    then: (answer: Answer) => Promise<void> = async () => undefined,
  ): Promise<Record<string, string>> {
    const calls = callers(cloud, `/services/${namespace}`);
    const seen = names.map(async (name) => {
      const answer = await calls[name]!(action, request);
      expect(answer.contentType, name).to.equal('text/xml');
      if (answer.status === 200) await then(answer);
      return [name, answer.code === 'none' ? String(answer.status) : `${answer.status} ${answer.code}`] as const;
    });
    return Object.fromEntries(await Promise.all(seen));
  }

  /** Compares an action with its row, and what is stored before and after the calls which are to be refused. */
  async function walk(namespace: Namespace, action: string): Promise<void> {
    const expected = answersOf(table, namespace, action);
    const world = worlds[namespace];
    const names = Object.keys(callers(cloud, `/services/${namespace}`));
    const seen: Record<string, string> = {};
    const request = await world.request(action);
    await withoutChange(cloud, `${action} of whom it is refused`, async () => {
      const refused = names.filter((name) => expected[name] !== '200');
      Object.assign(seen, await outcomes(namespace, action, refused, request));
    });
    for (const name of names.filter((other) => expected[other] === '200')) {
      const next = await world.request(action);
      const finish = (answer: Answer): Promise<void> => world.finish(action, answer);
      Object.assign(seen, await outcomes(namespace, action, [name], next, finish));
    }
    expect(seen, action).to.deep.equal(expected);
    expect(troublesOf(cloud), action).to.deep.equal([]);
  }

  for (const [namespace, actions] of [
    ['Cloud', [...cloudActions().keys()]],
    ['Admin', [...adminActions().keys()]],
  ] as const) {
    describe(`/services/${namespace}`, () => {
      it('has a row for each action of the server, and no other', () => {
        expect(Object.keys(table.actions[namespace]).sort()).to.deep.equal([...actions].sort());
      });

      const isAbsent = (name: string): boolean => namespace === 'Cloud' && Object.hasOwn(absentActions, name);
      for (const action of actions.filter((name) => !isAbsent(name))) {
        it(`${action} answers each caller as the table says, and changes nothing when it refuses`, () =>
          walk(namespace, action));
      }
      it('actions which this cloud has nothing for answer each caller as the table says', async () => {
        const names = Object.keys(callers(cloud, `/services/${namespace}`));
        await withoutChange(cloud, 'absent actions', async () => {
          for (const action of actions.filter(isAbsent)) {
            const expected = answersOf(table, namespace, action);
            expect(await outcomes(namespace, action, names, {}), action).to.deep.equal(expected);
          }
        });
        expect(troublesOf(cloud)).to.deep.equal([]);
      });
    });
  }

  it('refuses an unknown action of whoever may ask, and at the Admin endpoint of all but administrators', async () => {
    const before = await cloud.contents();
    const outcome = ({ status, code }: Answer): string => `${status} ${code}`;
    const admins = { endpoint: '/services/Admin' } as const;
    expect(outcome(await cloud.as('roleless').call('DescribeEverything'))).to.equal('400 InvalidAction');
    expect(outcome(await cloud.as('demo').at(admins).call('DescribeEverything'))).to.equal('401 UnauthorizedOperation');
    expect(outcome(await cloud.as('admin').at(admins).call('DescribeEverything'))).to.equal('400 InvalidAction');
    expect(outcome(await cloud.as('demo').call('describe_instances'))).to.equal('401 UnauthorizedOperation');
    expect((await cloud.anonymous('DescribeEverything')).status).to.equal(400);
    expect(await cloud.contents()).to.deep.equal(before);
  });

  it('serves each action at its own endpoint alone', async () => {
    const admin = cloud.as('admin');
    expect((await admin.call('DescribeUsers')).code).to.equal('InvalidAction');
    expect((await admin.at({ endpoint: '/services/Admin' }).call('DescribeInstances')).code).to.equal('InvalidAction');
  });
}

import { expect } from 'chai';
import { absentActions } from '../../nova-api/ec2/absent.js';
import { adminActions } from '../../nova-api/ec2/admin.js';
import { cloudActions } from '../../nova-api/ec2/index.js';
import { type AccountWorld, accountWorld, cloudpipeImage } from '../support/accountWorld.js';
import {
  type Answer,
  type ApiCloud,
  type CallParams,
  type Endpoint,
  accessKeyOf,
  formOf,
  secretKeyOf,
  startApiCloud,
  unlimited,
} from '../support/apiCloud.js';
import { answersOf, type Namespace, readAuthorizationTable } from '../support/authorizationTable.js';
import { queryV4, signedV2 } from '../support/ec2.js';

type Call = (action: string, params: CallParams) => Promise<Answer>;

const hour = 3_600_000;

/** Who calls, by the table's columns; every request is about what demo of project demo has. */
function callers(cloud: ApiCloud, endpoint: Endpoint): Record<string, Call> {
  const by =
    (user: Parameters<ApiCloud['as']>[0], project?: string): Call =>
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
  this.timeout(60_000);
  const table = readAuthorizationTable();
  let cloud: ApiCloud;
  let worlds: Record<Namespace, AccountWorld>;

  before(async () => {
    cloud = await startApiCloud({ ...unlimited, ec2_timestamp_window: 900, vpn_image_id: 2 });
    await cloudpipeImage(cloud, 2);
    worlds = accountWorld(cloud);
    // What a project gets at its first use is no change which a refused request makes.
    for (const user of ['demo', 'other', 'admin'] as const) await cloud.as(user).ok('DescribeSecurityGroups');
  });
  after(() => cloud.stop());

  /** Compares an action with its row, and what is stored before and after each refused call. */
  async function walk(namespace: Namespace, action: string): Promise<void> {
    const expected = answersOf(table, namespace, action);
    const world = worlds[namespace];
    const seen: Record<string, string> = {};
    let request = await world.request(action);
    let [stored, changes] = [await cloud.contents(), await cloud.changes()];
    for (const [name, call] of Object.entries(callers(cloud, `/services/${namespace}`))) {
      const answer = await call(action, request);
      seen[name] = answer.code === 'none' ? String(answer.status) : `${answer.status} ${answer.code}`;
      expect(answer.contentType, name).to.equal('text/xml');
      if (answer.status === 200) request = await world.request(action);
      else if ((await cloud.changes()) === changes) continue;
      else expect(await cloud.contents(), `rows after ${name}`).to.deep.equal(stored);
      [stored, changes] = [await cloud.contents(), await cloud.changes()];
    }
    expect(seen, action).to.deep.equal(expected);
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
        for (const action of actions.filter(isAbsent)) await walk(namespace, action);
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
});

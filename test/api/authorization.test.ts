import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { absentActions } from '../../nova-api/ec2/absent.js';
import { cloudActions } from '../../nova-api/ec2/index.js';
import {
  type Answer,
  type ApiCloud,
  type CallParams,
  accessKeyOf,
  secretKeyOf,
  startApiCloud,
  unlimited,
} from '../support/apiCloud.js';
import { DemoWorld, requestOf } from '../support/apiRequests.js';
import { recordings } from '../support/recordings.js';

type Call = (action: string, params: CallParams) => Promise<Answer>;

/** Who calls, by the table's columns; every request is about what demo of project demo has. */
function callers(cloud: ApiCloud): Record<string, Call> {
  return {
    'no credentials': (action, params) => cloud.anonymous(action, params),
    'wrong signature': (action, params) =>
      cloud.caller(`${accessKeyOf('demo')}:demo`, secretKeyOf('other')).call(action, params),
    'unknown key': (action, params) => cloud.caller('nobody:demo', secretKeyOf('demo')).call(action, params),
    'no project': (action, params) => cloud.as('demo', 'nowhere').call(action, params),
    'not a member': (action, params) => cloud.as('other', 'demo').call(action, params),
    'without roles': (action, params) => cloud.as('roleless').call(action, params),
    netadmin: (action, params) => cloud.as('netadmin').call(action, params),
    sysadmin: (action, params) => cloud.as('sysadmin').call(action, params),
    'other project': (action, params) => cloud.as('other').call(action, params),
    administrator: (action, params) => cloud.as('admin').call(action, params),
  };
}

interface Table {
  /** What the columns hold: status and error code. */
  columns: string[];
  /** The same for every action. */
  always: Record<string, string>;
  /** By action, a value for each of the columns. */
  actions: Record<string, string[]>;
}

describe('who may call which EC2 action', function () {
  this.timeout(60_000);
  const table = JSON.parse(readFileSync(new URL('ec2-authorization.json', recordings), 'utf8')) as Table;
  const actions = [...cloudActions().keys()];
  let cloud: ApiCloud;
  let world: DemoWorld;

  before(async () => {
    cloud = await startApiCloud(unlimited);
    world = new DemoWorld(cloud);
    // What a project gets at its first use is no change which a refused request makes.
    for (const user of ['demo', 'other', 'admin'] as const) await cloud.as(user).ok('DescribeSecurityGroups');
  });
  after(() => cloud.stop());

  it('has a row for each action of the server, and no other', () => {
    expect(Object.keys(table.actions).sort()).to.deep.equal([...actions].sort());
  });

  /** Compares an action with its row, and what is stored before and after each refused call. */
  async function walk(action: string): Promise<void> {
    const row = table.actions[action];
    if (row === undefined) throw new Error(`test/recordings/ec2-authorization.json has no row for ${action}`);
    const expected = { ...table.always, ...Object.fromEntries(table.columns.map((name, at) => [name, row[at]])) };
    const seen: Record<string, string> = {};
    let has = await world.renew();
    let stored = await cloud.contents();
    for (const [name, call] of Object.entries(callers(cloud))) {
      const answer = await call(action, requestOf(action, has));
      seen[name] = answer.code === 'none' ? String(answer.status) : `${answer.status} ${answer.code}`;
      expect(answer.contentType, name).to.equal('text/xml');
      if (answer.status !== 200) {
        expect(await cloud.contents(), `rows after ${name}`).to.deep.equal(stored);
      } else {
        has = await world.renew();
        stored = await cloud.contents();
      }
    }
    expect(seen, action).to.deep.equal(expected);
  }

  for (const action of actions.filter((name) => !Object.hasOwn(absentActions, name))) {
    it(`${action} answers each caller as the table says, and changes nothing when it refuses`, () => walk(action));
  }

  it('actions which this cloud has nothing for answer each caller as the table says', async () => {
    for (const action of Object.keys(absentActions)) await walk(action);
  });

  it('refuses an unknown action of whoever may ask, and the Admin endpoint of all but administrators', async () => {
    const before = await cloud.contents();
    const unknown = await cloud.as('roleless').call('DescribeEverything');
    expect([unknown.status, unknown.code]).to.deep.equal([400, 'InvalidAction']);
    const spelled = await cloud.as('demo').call('describe_instances');
    expect([spelled.status, spelled.code]).to.deep.equal([401, 'UnauthorizedOperation']);
    expect((await cloud.anonymous('DescribeEverything')).status).to.equal(400);
    expect(await cloud.contents()).to.deep.equal(before);
  });
});

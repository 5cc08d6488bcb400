import { expect } from 'chai';
import { absentActions } from '../../nova-api/ec2/absent.js';
import { adminActions } from '../../nova-api/ec2/admin.js';
import { cloudActions } from '../../nova-api/ec2/index.js';
import type { ParamSpecs } from '../../nova-api/ec2/params.js';
import { cloudpipeImage } from '../support/accountWorld.js';
import { type Accounts, AdminWorld, adminRequestOf } from '../support/adminRequests.js';
import { checkForm, checkLengths, consoles } from '../support/answerForm.js';
import type { Answer, Caller } from '../support/apiCaller.js';
import { cloudKinds } from '../support/apiProcesses.js';
import { type Belongings, requestOf, type RequestParams } from '../support/apiRequests.js';
import { unlimited } from '../support/apiUsers.js';
import { type BadRequest, badRequests } from '../support/badInput.js';
import { DemoWorld } from '../support/demoWorld.js';
import { troublesOf, type WalkedCloud, withoutChange } from '../support/walkedCloud.js';

/** How many requests are under way side by side. */
const lanes = 8;

/** An action to be walked, and the world its requests are about. */
interface Walk<Has> {
  readonly action: string;
  readonly params: ParamSpecs;
  readonly caller: Caller;
  readonly world: { renew(): Promise<Has>; next(): Has };
  request(has: Has): RequestParams;
  /** What the other project has of the kind of a value. */
  foreign?(has: Has): (value: string) => string | undefined;
  finish(answer: Answer, has: Has): Promise<void>;
}

for (const { on, start } of cloudKinds) {
  describe(`bad input to EC2 actions, on ${on}`, function () {
    this.timeout(900_000);
    let cloud: WalkedCloud;
    let world: DemoWorld;
    let accounts: AdminWorld;
    let others: Belongings;

    before(async () => {
      // A wish for billions of instances gets what the quota leaves.
      cloud = await start({ ...unlimited, quota_instances: 100, vpn_image_id: 2 });
      await cloudpipeImage(cloud, 2);
      [world, accounts] = [new DemoWorld(cloud), new AdminWorld(cloud)];
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

    /** Sends one wrong request, and looks at the answer. */
    async function send<Has extends object>(
      { action, caller }: Walk<Has>,
      { what: wrong, body, wish }: BadRequest,
    ): Promise<Answer> {
      const what = `${action} with ${wrong}`;
      const answer = await caller.call(action, body());
      await checkForm(answer, what);
      if (answer.status !== 200) return answer;
      expect(wish, `${what} was accepted: ${answer.xml.slice(0, 400)}`).not.to.equal('refused');
      if (/characters|as long as/.test(wrong) && !reads(action)) await checkLengths(cloud, what);
      return answer;
    }

    /** Sends requests which change nothing, side by side, and compares the rows before and after them. */
    async function sendInVain<Has extends object>(walk: Walk<Has>, wrongs: readonly BadRequest[]): Promise<void> {
      const rest = wrongs.values();
      const lane = async (): Promise<void> => {
        for (const wrong of rest) await send(walk, wrong);
      };
      const all = (): Promise<unknown> => Promise.all(Array.from({ length: lanes }, lane));
      await withoutChange(cloud, walk.action, async () => void (await all())).catch(async (error: Error) => {
        // Which of them was it?
        for (const wrong of wrongs) {
          await withoutChange(cloud, `${walk.action} with ${wrong.what}`, async () => void (await send(walk, wrong)));
        }
        throw error;
      });
    }

    /** Names what another project has, and looks whether that shows or has an effect. */
    async function sendHidden<Has extends object>(walk: Walk<Has>, wrong: BadRequest): Promise<Answer> {
      const what = `${walk.action} with ${wrong.what}`;
      const before = await ofOthers();
      const answer = await send(walk, wrong);
      if (walk.action.startsWith('Describe')) expect(answer.xml, what).not.to.contain('<item>');
      if (answer.status === 200) {
        const ignored = ignoresOthers.has(`${walk.action} ${wrong.what.split(':')[0]}`);
        expect(ignored, `${what}: ${answer.xml}`).to.equal(true);
      }
      await cloud.settle();
      expect(await ofOthers(), `rows of the other project after ${what}`).to.deep.equal(before);
      return answer;
    }

    async function walkThrough<Has extends object>(walk: Walk<Has>): Promise<void> {
      const { action, world: around } = walk;
      let has: Has = await around.renew();
      const wrongs = (): BadRequest[] => [...badRequests(walk.params, walk.request(has), walk.foreign?.(has))];
      const isVain = ({ wish }: BadRequest): boolean => wish === 'refused' || (wish === 'any' && reads(action));
      let tries = wrongs();
      await sendInVain(walk, tries.filter(isVain));

      // What may be accepted goes one by one, for then the next one needs the world as it was.
      const refused: number[] = [];
      for (let index = 0; index < tries.length; index++) {
        const wrong = tries[index]!;
        if (isVain(wrong)) continue;
        const answer = await (wrong.wish === 'hidden' ? sendHidden(walk, wrong) : send(walk, wrong));
        if (answer.status !== 200) {
          refused.push(index);
          continue;
        }
        if (reads(action)) continue;
        await walk.finish(answer, has);
        has = usesUp.has(action) ? await around.renew() : around.next();
        tries = wrongs();
      }
      // Those which turned out to be refused once more, now for the sake of the rows.
      has = await around.renew();
      tries = wrongs();
      await sendInVain(
        walk,
        refused.map((index) => ({ ...tries[index]!, wish: 'refused' })),
      );

      // The next request is served as ever.
      const last = await walk.caller.call(action, walk.request(has));
      expect(last.status, last.xml).to.equal(consoles.has(action) ? 503 : 200);
      await walk.finish(last, has);
      expect(troublesOf(cloud), action).to.deep.equal([]);
    }

    for (const [action, { params, roles }] of cloudActions()) {
      if (Object.hasOwn(absentActions, action)) continue;
      it(`${action} takes or refuses whatever its parameters are`, () =>
        walkThrough<Belongings>({
          action,
          params,
          // What administrators alone may do would be refused before its parameters are read.
          caller: cloud.as(roles.length === 0 ? 'admin' : 'demo'),
          world,
          request: (has) => requestOf(action, has),
          ...(roles.length > 0 && { foreign }),
          finish: (answer, has) => world.finish(action, answer, has),
        }));
    }

    for (const [action, { params }] of adminActions()) {
      it(`${action} of the Admin endpoint takes or refuses whatever its parameters are`, () =>
        walkThrough<Accounts>({
          action,
          params,
          caller: cloud.as('admin').at({ endpoint: '/services/Admin' }),
          world: accounts,
          request: (has) => adminRequestOf(action, has),
          finish: async () => undefined,
        }));
    }

    it('leaves every process alive and no stack trace in any log', async () => {
      await cloud.settle();
      expect(troublesOf(cloud)).to.deep.equal([]);
    });
  });
}

/** Whether an action changes nothing, also when it is accepted. */
const reads = (action: string): boolean => /^(Describe|Get)/.test(action);

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

import { expect } from 'chai';
import type { LaunchWish } from '../../common/cloud/launch.js';
import { claimForRun } from '../../common/db/instanceClaims.js';
import { changeInstance, findInstance } from '../../common/db/instances.js';
import { failOverdueSnapshots, failTasksOfLostHosts } from '../../common/db/scheduling.js';
import { failInstance, newestInstanceErrors } from '../../common/db/instanceActions.js';
import { forEachDialect } from '../support/dialects.js';
import { rulesCloud, type RulesCloud } from '../support/cloudRules.js';

const one: LaunchWish = { image: 'ami-00000001', instanceType: 'm1.tiny', securityGroups: [], blockDevices: [] };
const times = <T>(count: number, work: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => work(index)));

describe('instances in the database', () => {
  forEachDialect((_dialect, freshUrl) => {
    let rules: RulesCloud;
    beforeEach(async () => {
      rules = await rulesCloud({ flags: { sql_connection: await freshUrl(), quota_instances: 20, quota_cores: 100 } });
    });
    afterEach(() => rules.close());
    const run = (wish: Partial<LaunchWish> = {}): ReturnType<typeof rules.cloud.instances.run> =>
      rules.cloud.instances.run(rules.context(), { ...one, ...wish });

    it('racing requests never exceed a quota', async () => {
      const made = await times(10, () =>
        run({ minCount: 3, maxCount: 3 }).then(
          (reservation) => reservation.instances.length,
          () => 0,
        ),
      );
      expect(made.filter((count) => count === 3)).to.have.length(6);
      expect(await rules.db.all('SELECT id FROM instances')).to.have.length(18);
      expect(await rules.db.all('SELECT id FROM security_groups')).to.have.length(1);
    });

    it('racing requests with one client token make one reservation', async () => {
      const answers = await times(8, () => run({ clientToken: 'token', maxCount: 2 }));
      expect(new Set(answers.map((answer) => answer.reservationId)).size).to.equal(1);
      expect(await rules.db.all('SELECT id FROM instances')).to.have.length(2);
      expect(answers.every((answer) => answer.instances.length === 2)).to.equal(true);
    });

    it('what waits for a lost host is ended once, by schedulers which race, and only when nothing was done for long', async () => {
      const { instances } = await run({ maxCount: 3 });
      const [old, alive, fresh] = instances.map((view) => view.row.id);
      const { db } = rules;
      const longAgo = '2011-01-01 00:00:00';
      for (const [id, host] of [
        [old, 'gone'],
        [alive, 'cloud1'],
        [fresh, 'gone'],
      ] as const) {
        await db.update('instances', { host, task_state: 'spawning' }, 'id = ?', [id!]);
        if (id !== fresh) await db.run('UPDATE instances SET updated_at = ? WHERE id = ?', [longAgo, id!]);
      }
      const volumeId = await db.insert('volumes', { host: 'gone', status: 'available', project_id: 'demo' });
      const values = { volume_id: volumeId, project_id: 'demo', status: 'creating', created_at: longAgo };
      const snapshotId = await db.insert('snapshots', values);
      const cutoff = '2011-06-01 00:00:00';
      const live = new Set(['cloud1']);
      const ended = await times(4, () => failTasksOfLostHosts(db, cutoff, live, (host) => `${host} is lost`));
      expect(ended.flat()).to.deep.equal([old]);
      expect(await findInstance(db, old!)).to.include({ vm_state: 'error', task_state: null, host: 'gone' });
      expect((await newestInstanceErrors(db, [old!])).get(old!)).to.equal('gone is lost');
      const failed = await times(4, () => failOverdueSnapshots(db, cutoff, live));
      expect(failed.flat()).to.deep.equal([snapshotId]);
      expect(await db.first('SELECT status FROM snapshots')).to.deep.equal({ status: 'error' });
    });

    it('an instance which is terminated while a host claims it is deleted, or its host is told', async () => {
      const { instances } = await run({ maxCount: 16 });
      const ids = instances.map((view) => view.row.id);
      rules.published.length = 0;
      const claims = await Promise.all(
        ids.map(async (id) => {
          const [claimed] = await Promise.all([
            claimForRun(rules.db, id, 'cloud1'),
            rules.cloud.instances.terminate(rules.context(), [id]),
          ]);
          return { id, claimed };
        }),
      );
      const told = rules.published.map((message) => message.args['instance_id']);
      for (const { id, claimed } of claims) {
        const row = (await findInstance(rules.db, id, { deleted: 'any' }))!;
        expect([row.deleted, row.host, row.task_state, told.includes(id)]).to.deep.equal(
          claimed ? [false, 'cloud1', 'deleting', true] : [true, null, 'deleting', false],
        );
      }
    });

    it('of racing changes which expect one state, one happens', async () => {
      const id = (await run()).instances[0]!.row.id;
      const results = await times(8, (index) =>
        changeInstance(
          rules.db,
          id,
          { task_state: null, host: `h${index}` },
          { taskState: ['scheduling'], host: null },
        ),
      );
      expect(results.filter(Boolean)).to.have.length(1);
      expect(await changeInstance(rules.db, id, { vm_state: 'active' }, { taskState: [] })).to.equal(false);
      expect(await changeInstance(rules.db, id, { vm_state: 'active' }, { taskState: [null, 'x'] })).to.equal(true);
    });

    it('racing failures leave one reason, and the newest is the one which counts', async () => {
      const id = (await run()).instances[0]!.row.id;
      const failed = await times(4, (index) => failInstance(rules.db, id, 'run_instance', `r${index}`, ['scheduling']));
      expect(failed.filter(Boolean)).to.have.length(1);
      expect(await failInstance(rules.db, id, 'reboot_instance', 'newest', [null])).to.equal(true);
      expect([...(await newestInstanceErrors(rules.db, [id, 99]))]).to.deep.equal([[id, 'newest']]);
    });

    it('racing tags of one key leave one, and a limit holds', async () => {
      const target = { kind: 'instance', id: (await run()).instances[0]!.row.id } as const;
      await times(6, (index) => rules.cloud.tags.set(rules.context(), [target], { key: `v${index}` }));
      expect(await rules.cloud.tags.list(rules.context())).to.have.length(1);
      await rules.db.insert('quotas', { project_id: 'demo', resource: 'metadata_items', hard_limit: 3 });
      await times(6, (index) =>
        rules.cloud.tags.set(rules.context(), [target], { [`k${index}`]: '' }).catch(() => undefined),
      );
      expect(await rules.cloud.tags.list(rules.context())).to.have.length(3);
    });

    it('describes names with letters of all scripts', async () => {
      const displayName = 'Wëb 🦀 服务器';
      const [view] = (await run({ displayName, metadata: { ключ: displayName } })).instances;
      expect([view!.row.display_name, view!.row.hostname]).to.deep.equal([displayName, 'wb--']);
      expect(view!.metadata).to.deep.equal([{ key: 'ключ', value: displayName }]);
    });
  });
});

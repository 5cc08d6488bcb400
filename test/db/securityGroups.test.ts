import { expect } from 'chai';
import { openDatabase } from '../../common/db/database.js';
import type { Db } from '../../common/db/db.js';
import { createReservation } from '../../common/db/reservations.js';
import { addRules, createGroup, deleteGroup, setGroupsOfInstance } from '../../common/db/securityGroups.js';
import { syncDatabase } from '../../common/db/sync.js';
import { SecurityGroupNotFound } from '../../common/errors.js';
import type { Runtime } from '../../common/runtime/runtime.js';
import { forEachDialect } from '../support/dialects.js';
import { testRuntime } from '../support/runtime.js';

forEachDialect((_dialect, freshUrl) => {
  describe('a security group which is deleted', () => {
    let runtime: Runtime;
    let db: Db;
    before(async () => {
      ({ runtime } = testRuntime({
        sql_connection: await freshUrl(),
        quota_instances: -1,
        quota_cores: -1,
        quota_ram: -1,
      }));
      db = openDatabase(runtime);
      await syncDatabase(db);
    });
    after(() => db.close());

    async function group(name: string): Promise<number> {
      return (await createGroup(db, { name, description: '', user_id: 'bob', project_id: 'acme' }, Infinity))!;
    }
    const letIn = (parent: number, source: number): Promise<unknown> =>
      addRules(db, parent, [{ protocol: 'tcp', from_port: 1, to_port: 9, cidr: null, group_id: source }]);
    const reserve = (groupId: number, count: number): Promise<unknown> =>
      createReservation(db, runtime.flags, {
        projectId: 'acme',
        reservationId: `r-${groupId}`,
        minCount: count,
        maxCount: count,
        type: { vcpus: 1, memory_mb: 1 },
        row: { project_id: 'acme', vm_state: 'building', reservation_id: `r-${groupId}` },
        securityGroupIds: [groupId],
        mappings: [],
        metadata: {},
        uuid: () => runtime.random.uuid(),
        names: (id) => ({ displayName: `Server ${id}`, hostname: `server-${id}` }),
      });

    it('is joined and let in by nobody who comes at that moment, and no instance is left over', async () => {
      const parent = await group('parent');
      const instance = await db.insert('instances', { project_id: 'acme', vm_state: 'active' });
      const outcomes = new Set<string>();
      for (let round = 0; round < 15; round += 1) {
        const gone = await group(`group ${round}`);
        const racing = [letIn(parent, gone), reserve(gone, 1 + (round % 3)), setGroupsOfInstance(db, instance, [gone])];
        // the deletion comes first, last, or between
        racing.splice(round % 4, 0, deleteGroup(db, gone));
        for (const outcome of await Promise.allSettled(racing)) {
          outcomes.add(outcome.status);
          if (outcome.status === 'rejected') expect(outcome.reason).to.be.instanceOf(SecurityGroupNotFound);
        }
        const live = [gone, false];
        const members = 'SELECT * FROM security_group_instance_association WHERE security_group_id = ? AND deleted = ?';
        expect(await db.all(members, live), `members in round ${round}`).to.deep.equal([]);
        const rules = 'SELECT * FROM security_group_rules WHERE group_id = ? AND deleted = ?';
        expect(await db.all(rules, live), `rules in round ${round}`).to.deep.equal([]);
      }
      expect(outcomes).to.deep.equal(new Set(['fulfilled', 'rejected']));
    });
  });
});

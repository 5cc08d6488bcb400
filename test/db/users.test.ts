import { expect } from 'chai';
import { openDatabase } from '../../common/db/database.js';
import type { Db } from '../../common/db/db.js';
import { createKeyPair, deleteKeyPair, findKeyPair, listKeyPairs } from '../../common/db/keyPairs.js';
import * as projects from '../../common/db/projects.js';
import { syncDatabase } from '../../common/db/sync.js';
import * as users from '../../common/db/users.js';
import { forEachDialect } from '../support/dialects.js';
import { testRuntime } from '../support/runtime.js';

/** The class name of what `work` throws, or `done`. */
const outcome = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: unknown) => (error as Error).name,
  );
const ten = <T>(work: (n: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: 10 }, (_, n) => work(n)));
const tally = (outcomes: readonly string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const one of outcomes) counts[one] = (counts[one] ?? 0) + 1;
  return counts;
};

forEachDialect((_dialect, freshUrl) => {
  describe('users and projects', () => {
    let db: Db;
    before(async () => {
      db = openDatabase(testRuntime({ sql_connection: await freshUrl() }).runtime);
      await syncDatabase(db);
    });
    after(() => db.close());
    beforeEach(async () => {
      for (const table of [
        'user_project_role_association',
        'user_project_association',
        'user_role_association',
        'projects',
        'users',
        'key_pairs',
      ]) {
        await db.run(`DELETE FROM ${table}`);
      }
    });
    const user = (id: string, accessKey = `${id}-key`): Promise<void> =>
      users.createUser(db, { id, accessKey, secretKey: 's', isAdmin: false });

    it('are made once, whoever races', async () => {
      expect(tally(await ten(() => outcome(user('demo'))))).to.deep.equal({ done: 1, UserExists: 9 });
      expect(tally(await ten(() => outcome(projects.createProject(db, 'demo', 'demo'))))).to.deep.equal({
        done: 1,
        ProjectExists: 9,
      });
      expect(await projects.projectMembers(db, 'demo')).to.deep.equal(['demo']);
      expect(tally(await ten((n) => outcome(user(`u${n}`, 'one-key'))))).to.deep.equal({ done: 1, Invalid: 9 });
    });

    it('have the rows of 2011.3', async () => {
      await users.createUser(db, { id: 'admin', accessKey: 'akey', secretKey: 'skey', isAdmin: true });
      await projects.createProject(db, 'proj', 'admin');
      expect(await users.userById(db, 'admin')).to.deep.equal({
        id: 'admin',
        name: null,
        access_key: 'akey',
        secret_key: 'skey',
        is_admin: true,
      });
      expect(await projects.projectById(db, 'proj')).to.deep.equal({
        id: 'proj',
        name: 'proj',
        description: 'proj',
        project_manager: 'admin',
      });
    });

    it('are found by their exact names only', async () => {
      await user('demo', 'Key');
      await projects.createProject(db, 'Demo', 'demo');
      expect((await users.userByAccessKey(db, 'Key'))?.id).to.equal('demo');
      expect(await users.userByAccessKey(db, 'key')).to.equal(undefined);
      expect(await users.userByAccessKey(db, 'Key ')).to.equal(undefined);
      expect(await outcome(users.userById(db, 'DEMO'))).to.equal('UserNotFound');
      expect(await outcome(projects.projectById(db, 'demo'))).to.equal('ProjectNotFound');
      expect((await projects.standing(db, 'demo', 'demo')).project).to.equal(undefined);
      expect(await projects.standing(db, 'demo', 'Demo')).to.deep.equal({
        project: { id: 'Demo', managerId: 'demo' },
        isMember: true,
        globalRoles: [],
        projectRoles: [],
      });
    });

    it('have members and roles, each once', async () => {
      await user('boss');
      await user('demo');
      await projects.createProject(db, 'p', 'boss');
      expect(await outcome(projects.addProjectRole(db, 'demo', 'p', 'netadmin'))).to.equal('ProjectMembershipNotFound');
      expect(tally(await ten(() => outcome(projects.addMember(db, 'p', 'demo'))))).to.deep.equal({ done: 10 });
      expect(tally(await ten(() => outcome(users.addGlobalRole(db, 'demo', 'netadmin'))))).to.deep.equal({ done: 10 });
      expect(tally(await ten(() => outcome(projects.addProjectRole(db, 'demo', 'p', 'netadmin'))))).to.deep.equal({
        done: 10,
      });
      await users.addGlobalRole(db, 'demo', 'developer');
      const standing = await projects.standing(db, 'demo', 'p');
      // the rows come in whatever order the server's plan has
      expect({ ...standing, globalRoles: [...standing.globalRoles].sort() }).to.deep.equal({
        project: { id: 'p', managerId: 'boss' },
        isMember: true,
        globalRoles: ['developer', 'netadmin'],
        projectRoles: ['netadmin'],
      });
      expect((await projects.listProjects(db, 'demo')).map((project) => project.id)).to.deep.equal(['p']);
      expect(await users.removeGlobalRole(db, 'demo', 'developer')).to.equal(true);
      expect(await users.removeGlobalRole(db, 'demo', 'developer')).to.equal(false);
      await projects.removeMember(db, 'p', 'demo');
      expect(await projects.projectRoles(db, 'demo', 'p')).to.deep.equal([]);
      expect(await outcome(projects.removeMember(db, 'p', 'demo'))).to.equal('ProjectMembershipNotFound');
      expect(await outcome(projects.addMember(db, 'nope', 'demo'))).to.equal('ProjectNotFound');
      expect(await outcome(users.addGlobalRole(db, 'nope', 'netadmin'))).to.equal('UserNotFound');
    });

    it('change only what differs', async () => {
      await user('demo');
      await user('boss');
      await projects.createProject(db, 'p', 'demo', 'text');
      await users.modifyUser(db, 'demo', { accessKey: 'demo-key', isAdmin: false });
      const row = (): Promise<{ updated_at: string | null } | undefined> =>
        db.first<{ updated_at: string | null }>("SELECT updated_at FROM users WHERE id = 'demo'");
      expect((await row())?.updated_at).to.equal(null);
      await users.modifyUser(db, 'demo', { secretKey: 'other', isAdmin: true });
      expect((await row())?.updated_at).to.be.a('string');
      expect(await users.userById(db, 'demo')).to.include({
        access_key: 'demo-key',
        secret_key: 'other',
        is_admin: true,
      });
      expect(await outcome(users.modifyUser(db, 'boss', { accessKey: 'demo-key' }))).to.equal('Invalid');
      await projects.modifyProject(db, 'p', { managerId: 'boss' });
      expect(await projects.projectById(db, 'p')).to.include({ project_manager: 'boss', description: 'text' });
      expect(await projects.projectMembers(db, 'p')).to.deep.equal(['boss', 'demo']);
      expect(await outcome(projects.modifyProject(db, 'p', { managerId: 'nope' }))).to.equal('UserNotFound');
    });

    it('go with all that hangs on them, and not while they are needed', async () => {
      await user('demo');
      await projects.createProject(db, 'p', 'demo');
      await users.addGlobalRole(db, 'demo', 'netadmin');
      await projects.addProjectRole(db, 'demo', 'p', 'netadmin');
      await createKeyPair(db, { userId: 'demo', name: 'k', fingerprint: 'f', publicKey: 'ssh-rsa' });
      expect(await outcome(users.deleteUser(db, 'demo'))).to.equal('Invalid');
      expect(await projects.projectRoles(db, 'demo', 'p'), 'nothing is gone').to.deep.equal(['netadmin']);
      await projects.deleteProject(db, 'p');
      await users.deleteUser(db, 'demo');
      expect(await users.listUsers(db)).to.deep.equal([]);
      expect(await listKeyPairs(db, 'demo')).to.deep.equal([]);
      expect(await users.globalRoles(db, 'demo')).to.deep.equal([]);
      expect(await outcome(users.deleteUser(db, 'demo'))).to.equal('UserNotFound');
      expect(await outcome(projects.deleteProject(db, 'p'))).to.equal('ProjectNotFound');
    });

    it('have key pairs of distinct names', async () => {
      const make = (name: string, userId = 'demo'): Promise<void> =>
        createKeyPair(db, { userId, name, fingerprint: 'f', publicKey: 'ssh-rsa' });
      expect(tally(await ten(() => outcome(make('k'))))).to.deep.equal({ done: 1, KeyPairExists: 9 });
      await make('K');
      await make('k', 'other');
      expect((await findKeyPair(db, 'demo', 'k'))?.name).to.equal('k');
      await ten(() => deleteKeyPair(db, 'demo', 'k'));
      expect(await findKeyPair(db, 'demo', 'k')).to.equal(undefined);
      expect((await findKeyPair(db, 'other', 'k'))?.name).to.equal('k');
      await make('k');
      expect((await listKeyPairs(db, 'demo')).map((key) => key.name)).to.have.members(['k', 'K']);
    });
  });
});

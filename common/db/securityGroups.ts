import { QuotaError, SecurityGroupNotFound } from '../errors.js';
import { placeholders, type Db, type Queryable, type Tx, type Values } from './db.js';
import type { SecurityGroupRow, SecurityGroupRuleRow } from './rows.js';
import { anything, firstWhere, rowsWhere, softDelete } from './where.js';

/** What a rule lets in: protocol and ports (null: any) from a CIDR or from the members of a group. */
export interface RuleWish {
  protocol: string | null;
  from_port: number | null;
  to_port: number | null;
  cidr: string | null;
  group_id: number | null;
}

/** The name of the group which every project has. */
export const defaultGroupName = 'default';

/**
 * The id of a project's group `default`, made at first use. Racing callers get the same group: the insert happens under
 * the project's lock.
 */
export async function ensureDefaultGroup(db: Db, projectId: string, userId: string | null): Promise<number> {
  const there = await groupByName(db, projectId, defaultGroupName);
  if (there !== undefined) return there.id;
  return db.transaction(async (tx) => {
    await tx.lock(`security-groups:${projectId}`);
    const meanwhile = await groupByName(tx, projectId, defaultGroupName);
    if (meanwhile !== undefined) return meanwhile.id;
    return tx.insert('security_groups', {
      name: defaultGroupName,
      description: defaultGroupName,
      user_id: userId,
      project_id: projectId,
    });
  });
}

/**
 * Makes a group; null when the project has one of this name. Of racing callers one makes it. Throws QuotaError for a
 * project which has `limit` groups.
 */
export async function createGroup(
  db: Db,
  values: { name: string; description: string; user_id: string | null; project_id: string },
  limit = Infinity,
): Promise<number | null> {
  return db.transaction(async (tx) => {
    await tx.lock(`security-groups:${values.project_id}`);
    if ((await groupByName(tx, values.project_id, values.name)) !== undefined) return null;
    if ((await groupsOfProject(tx, values.project_id)).length >= limit) {
      throw new QuotaError('Security group quota exceeded. You cannot create any more security groups');
    }
    return tx.insert('security_groups', values);
  });
}

/** A project's group of a name: the first, where Python's race made two. */
async function groupByName(db: Queryable, projectId: string, name: string): Promise<SecurityGroupRow | undefined> {
  return firstWhere(db, 'security_groups', { project_id: projectId, name, deleted: false });
}

/** A project's groups of these names, by ascending id. */
export async function groupsByNames(
  db: Queryable,
  projectId: string,
  names: readonly string[],
): Promise<SecurityGroupRow[]> {
  return rowsWhere(db, 'security_groups', { project_id: projectId, name: names, deleted: false });
}

/** The groups with these ids, by ascending id. */
export async function groupsByIds(db: Queryable, ids: readonly number[]): Promise<SecurityGroupRow[]> {
  return rowsWhere(db, 'security_groups', { id: ids, deleted: false });
}

/** The groups of a project, or of all (null), by ascending id. */
export async function groupsOfProject(db: Queryable, projectId: string | null): Promise<SecurityGroupRow[]> {
  return rowsWhere(db, 'security_groups', { project_id: projectId ?? anything, deleted: false });
}

/** The rules which let into these groups, by ascending id. */
export async function rulesOfGroups(db: Queryable, groupIds: readonly number[]): Promise<SecurityGroupRuleRow[]> {
  return rowsWhere(db, 'security_group_rules', { parent_group_id: groupIds, deleted: false });
}

/** Whether a row is the rule that is meant: same source, same protocol in any case, same ports. */
function sameRule(row: SecurityGroupRuleRow, wish: RuleWish): boolean {
  return (
    row.group_id === wish.group_id &&
    row.cidr === wish.cidr &&
    (row.protocol ?? '').toLowerCase() === (wish.protocol ?? '').toLowerCase() &&
    row.from_port === wish.from_port &&
    row.to_port === wish.to_port
  );
}

/**
 * Makes sure that groups are there, and stay until the transaction ends: what refers to one which is being deleted would be
 * left behind. Throws SecurityGroupNotFound.
 */
export async function requireGroups(tx: Tx, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return;
  const rows = await tx.all<{ id: number }>(
    `SELECT id FROM security_groups WHERE id IN ${placeholders(ids)} AND deleted = ? ORDER BY id${tx.forShare}`,
    [...ids, false],
  );
  const there = new Set(rows.map((row) => row.id));
  const gone = ids.find((id) => !there.has(id));
  if (gone !== undefined) throw new SecurityGroupNotFound(gone);
}

/** What became of rules which were to be added or removed. */
export type RuleChange = { result: 'done' } | { result: 'refused'; rule: RuleWish };

/**
 * Adds rules to a group, all or none; refuses when the group has one of them. Racing callers don't add a rule twice: the
 * group's lock is held while its rules are compared. Throws QuotaError when it would have more than `limit`,
 * SecurityGroupNotFound when it or one which a rule lets in is gone.
 */
export async function addRules(
  db: Db,
  groupId: number,
  rules: readonly RuleWish[],
  limit = Infinity,
): Promise<RuleChange> {
  return db.transaction(async (tx) => {
    await tx.lock(`security-group:${groupId}`);
    const letIn = rules.flatMap((rule) => (rule.group_id === null ? [] : [rule.group_id]));
    const [rows] = await Promise.all([
      rulesOfGroups(tx, [groupId]),
      requireGroups(tx, [...new Set([groupId, ...letIn])]),
    ]);
    const refused = rules.find((rule) => rows.some((row) => sameRule(row, rule)));
    if (refused !== undefined) return { result: 'refused', rule: refused };
    if (rows.length + rules.length > limit) {
      throw new QuotaError('Security group rule quota exceeded. You cannot add any more rules to the group');
    }
    await tx.insertMany(
      'security_group_rules',
      rules.map((rule) => ({ parent_group_id: groupId, ...given(rule) })),
    );
    return { result: 'done' };
  });
}

/**
 * The rows which are meant by a rule that is to go. All of a protocol from a group was stored by 2011.3 as everything from
 * the group, so without another that is what is meant.
 */
function rowsOf(rows: readonly SecurityGroupRuleRow[], wish: RuleWish): SecurityGroupRuleRow[] {
  const same = rows.filter((row) => sameRule(row, wish));
  const ports = `${wish.from_port}:${wish.to_port}`;
  const isWhole = wish.group_id !== null && ports === (wish.protocol === 'icmp' ? '-1:-1' : '1:65535');
  if (same.length > 0 || !isWhole) return same;
  return rows.filter((row) => row.group_id === wish.group_id && !row.protocol);
}

/** Removes rules from a group (soft), all or none; refuses when the group lacks one of them. */
export async function removeRules(db: Db, groupId: number, rules: readonly RuleWish[]): Promise<RuleChange> {
  return db.transaction(async (tx) => {
    await tx.lock(`security-group:${groupId}`);
    const rows = await rulesOfGroups(tx, [groupId]);
    const refused = rules.find((rule) => rowsOf(rows, rule).length === 0);
    if (refused !== undefined) return { result: 'refused', rule: refused };
    const ids = [...new Set(rules.flatMap((rule) => rowsOf(rows, rule).map((row) => row.id)))];
    if (ids.length > 0) {
      const where = `id IN ${placeholders(ids)} AND deleted = ?`;
      await tx.update('security_group_rules', { deleted: true, deleted_at: tx.now() }, where, [...ids, false]);
    }
    return { result: 'done' };
  });
}

/** The columns of a rule which hold something; the others are not written. */
function given(rule: RuleWish): Values<'security_group_rules'> {
  return Object.fromEntries(Object.entries(rule).filter(([, value]) => value !== null));
}

/**
 * Deletes a group with its memberships, its rules and the rules of others which let its members in (soft). Answers the
 * ids of these other groups, ascending; null when there is no such group.
 */
export async function deleteGroup(db: Db, id: number): Promise<number[] | null> {
  return db.transaction(async (tx) => {
    await tx.lock(`security-group:${id}`);
    if ((await softDelete(tx, 'security_groups', { id })) === 0) return null;
    const lost = await tx.all<{ parent_group_id: number }>(
      'SELECT DISTINCT parent_group_id FROM security_group_rules WHERE group_id = ? AND parent_group_id <> ? ' +
        'AND deleted = ? ORDER BY parent_group_id',
      [id, id, false],
    );
    await softDelete(tx, 'security_group_instance_association', { security_group_id: id });
    await softDelete(tx, 'security_group_rules', { group_id: id });
    await softDelete(tx, 'security_group_rules', { parent_group_id: id });
    return lost.map((row) => row.parent_group_id);
  });
}

/**
 * Makes these the groups of an instance, and no others; answers the ids of those which it left or joined, ascending.
 * Racing callers follow each other: the groups are those of the last. Throws SecurityGroupNotFound.
 */
export async function setGroupsOfInstance(db: Db, instanceId: number, groupIds: readonly number[]): Promise<number[]> {
  return db.transaction(async (tx) => {
    await tx.lock(`instance-groups:${instanceId}`);
    const rows = await tx.all<{ security_group_id: number }>(
      'SELECT security_group_id FROM security_group_instance_association WHERE instance_id = ? AND deleted = ?',
      [instanceId, false],
    );
    const held = new Set(rows.map((row) => row.security_group_id));
    const left = [...held].filter((id) => !groupIds.includes(id));
    const joined = [...new Set(groupIds)].filter((id) => !held.has(id));
    if (left.length > 0) {
      const where = `instance_id = ? AND security_group_id IN ${placeholders(left)} AND deleted = ?`;
      const gone = { deleted: true, deleted_at: tx.now() };
      await tx.update('security_group_instance_association', gone, where, [instanceId, ...left, false]);
    }
    if (joined.length > 0) {
      await requireGroups(tx, joined);
      const memberships = joined.map((id) => ({ security_group_id: id, instance_id: instanceId }));
      await tx.insertMany('security_group_instance_association', memberships);
    }
    return [...left, ...joined].sort((a, b) => a - b);
  });
}

/** The hosts which have a live instance in a group, sorted. */
export async function hostsOfGroup(db: Queryable, groupId: number): Promise<string[]> {
  return (await hostsOfGroups(db, [groupId])).map(({ host }) => host);
}

/** For each group the hosts which have a live instance in it, sorted by host. */
async function hostsOfGroups(
  db: Queryable,
  groupIds: readonly number[],
): Promise<{ group_id: number; host: string }[]> {
  return db.all(
    'SELECT DISTINCT a.security_group_id AS group_id, i.host AS host ' +
      'FROM security_group_instance_association a JOIN instances i ON i.id = a.instance_id ' +
      `WHERE a.security_group_id IN ${placeholders(groupIds)} AND a.deleted = ? AND i.deleted = ? ` +
      'AND i.host IS NOT NULL ORDER BY host, group_id',
    [...groupIds, false, false],
  );
}

/**
 * Whom to tell that an instance got or lost an address: for each of the instance's groups which some group lets in, the
 * hosts of that group's members. Groups which the instance has left count as well: it may be deleted meanwhile.
 */
export async function hostsToRefresh(
  db: Queryable,
  instanceId: number,
): Promise<{ security_group_id: number; host: string }[]> {
  // apart from the hosts: mostly there are none, and in one statement PostgreSQL reads every membership to find that out
  const letIn = await db.all<{ own_id: number; by_id: number }>(
    'SELECT DISTINCT own.security_group_id AS own_id, r.parent_group_id AS by_id ' +
      'FROM security_group_instance_association own ' +
      'JOIN security_groups g ON g.id = own.security_group_id AND g.deleted = ? ' +
      'JOIN security_group_rules r ON r.group_id = own.security_group_id AND r.deleted = ? ' +
      'WHERE own.instance_id = ? ORDER BY own_id',
    [false, false, instanceId],
  );
  if (letIn.length === 0) return [];
  const members = await hostsOfGroups(db, [...new Set(letIn.map(({ by_id }) => by_id))]);
  return [...new Set(letIn.map(({ own_id }) => own_id))].flatMap((own) => {
    const letting = new Set(letIn.filter(({ own_id }) => own_id === own).map(({ by_id }) => by_id));
    const hosts = new Set(members.filter(({ group_id }) => letting.has(group_id)).map(({ host }) => host));
    return [...hosts].map((host) => ({ security_group_id: own, host }));
  });
}

import type { Context } from '../context.js';
import type { InstanceRow, SecurityGroupRow, SecurityGroupRuleRow } from '../db/rows.js';
import { projectLimits, type QuotaLimits } from '../db/quotas.js';
import {
  addRules,
  createGroup,
  defaultGroupName,
  deleteGroup,
  ensureDefaultGroup,
  groupsByIds,
  groupsByNames,
  groupsOfProject,
  hostsOfGroup,
  hostsToRefresh,
  removeRules,
  rulesOfGroups,
  setGroupsOfInstance,
} from '../db/securityGroups.js';
import {
  ApiError,
  errorText,
  InvalidParameterValue,
  SecurityGroupNotFound,
  SecurityGroupNotFoundForProject,
} from '../errors.js';
import type { Logger } from '../log.js';
import type { CloudParts } from './parts.js';
import { pythonRule, rulesOf, type Permission } from './securityGroupRules.js';

/** How a request names a group of the caller's project. */
export type GroupRef = { id: number } | { name: string };
/** How a request names a group whose members are let in: by id, or by name in a project (default: the caller's). */
export type SourceGroupRef = { id: number; project?: string } | { name: string; project?: string };
/** A permission with its source groups as the request names them. */
export type PermissionWish = Omit<Permission, 'groupIds'> & { groups: readonly SourceGroupRef[] };

/** A rule; `source` is the group whose members it lets in. */
export interface DescribedRule extends SecurityGroupRuleRow {
  source: { id: number; name: string; project_id: string | null } | null;
}
export interface DescribedGroup extends SecurityGroupRow {
  rules: DescribedRule[];
}

const nameForm = /^[a-zA-Z0-9_\- ]+$/;
/** `security_groups.name` and `.description` are VARCHAR(255). */
const longestText = 255;

/** Security groups (nova 2011.3, nova/api/ec2/cloud.py and nova/compute/api.py). */
export class SecurityGroups {
  readonly #log: Logger;

  constructor(private readonly parts: CloudParts) {
    this.#log = parts.runtime.log.logger('nova.compute.api');
  }

  /** The id of the group `default` of the caller's project, made at first use. */
  async ensureDefault(context: Context): Promise<number> {
    return ensureDefaultGroup(this.parts.db, context.requireProject(), context.userId);
  }

  /** Groups of the caller's project, in the order of the names, each once. Throws SecurityGroupNotFoundForProject. */
  async byNames(context: Context, names: readonly string[]): Promise<SecurityGroupRow[]> {
    const project = context.requireProject();
    if (names.includes(defaultGroupName)) await this.ensureDefault(context);
    const rows = await groupsByNames(this.parts.db, project, names);
    return [...new Set(names)].map((name) => {
      const row = rows.find((one) => one.name === name);
      if (row === undefined) throw new SecurityGroupNotFoundForProject(name, project);
      return row;
    });
  }

  /**
   * Groups by id, in the order of the ids, each once. Throws SecurityGroupNotFound, also for one of another project
   * unless the caller is an administrator.
   */
  async byIds(context: Context, ids: readonly number[]): Promise<SecurityGroupRow[]> {
    const rows = await groupsByIds(this.parts.db, ids);
    return [...new Set(ids)].map((id) => {
      const row = rows.find((one) => one.id === id);
      if (row === undefined || !(context.isAdmin || row.project_id === context.projectId)) {
        throw new SecurityGroupNotFound(id);
      }
      return row;
    });
  }

  /**
   * The groups which are named, else all of the caller's project (for an administrator: of all projects), with their
   * rules, sorted by project and name.
   */
  async describe(context: Context, refs: readonly GroupRef[] = []): Promise<DescribedGroup[]> {
    const { db } = this.parts;
    await this.ensureDefault(context);
    const groups =
      refs.length > 0
        ? await this.#resolve(context, refs)
        : await groupsOfProject(db, context.isAdmin ? null : context.requireProject());
    const rules = await rulesOfGroups(
      db,
      groups.map((group) => group.id),
    );
    const sources = await groupsByIds(db, [...new Set(rules.flatMap((rule) => rule.group_id ?? []))]);
    const byId = new Map(sources.map(({ id, name, project_id }) => [id, { id, name: name ?? '', project_id }]));
    const described = groups.map((group): DescribedGroup => ({
      ...group,
      rules: rules
        .filter((rule) => rule.parent_group_id === group.id && (rule.group_id === null || byId.has(rule.group_id)))
        .map((rule) => ({ ...rule, source: rule.group_id === null ? null : byId.get(rule.group_id)! })),
    }));
    const key = (group: DescribedGroup): readonly [string, string] => [group.project_id ?? '', group.name ?? ''];
    return described.sort((a, b) => compare(key(a)[0], key(b)[0]) || compare(key(a)[1], key(b)[1]) || a.id - b.id);
  }

  /** Makes a group; answers it. Throws InvalidParameterValue, QuotaError, and ApiError for a name which the project has. */
  async create(context: Context, name: string, description: string): Promise<DescribedGroup> {
    if (!nameForm.test(name)) {
      throw invalid('GroupName', name, 'Content limited to Alphanumeric characters, spaces, dashes, and underscores.');
    }
    for (const [parameter, value] of [['GroupName', name] as const, ['GroupDescription', description] as const]) {
      if (value.length > longestText) throw invalid(parameter, value, `Length exceeds maximum of ${longestText}.`);
    }
    const project = context.requireProject();
    await this.ensureDefault(context);
    const values = { name, description, user_id: context.userId, project_id: project };
    const id = await createGroup(this.parts.db, values, (await this.#limits(project)).security_groups);
    if (id === null) throw new ApiError(`group ${name} already exists`);
    this.#log.audit(`Create Security Group ${name}`);
    const [row] = await groupsByIds(this.parts.db, [id]);
    return { ...row!, rules: [] };
  }

  /** Deletes a group, in use or not: its members lose what it let in. */
  async delete(context: Context, ref: GroupRef): Promise<void> {
    const [group] = await this.#resolve(context, [ref]);
    const hosts = await hostsOfGroup(this.parts.db, group!.id);
    const others = await deleteGroup(this.parts.db, group!.id);
    if (others === null) throw new SecurityGroupNotFound(group!.id);
    this.#log.audit(`Delete security group ${group!.name}${hosts.length > 0 ? ', which instances were in' : ''}`);
    for (const host of hosts) await this.#refreshHost(context, host, group!.id);
    for (const id of others) await this.#refresh(context, id);
  }

  /**
   * Lets in what the permissions say: all of it, or nothing. Throws what {@link rulesOf} throws, errors of unknown
   * groups, ApiError for a rule which the group has already, and QuotaError.
   */
  async authorize(context: Context, ref: GroupRef, wishes: readonly PermissionWish[]): Promise<void> {
    const [group] = await this.#resolve(context, [ref]);
    const rules = rulesOf(await this.#withGroupIds(context, wishes));
    const { security_group_rules: limit } = await this.#limits(group!.project_id ?? '');
    const change = await addRules(this.parts.db, group!.id, rules, limit);
    if (change.result === 'refused') {
      throw new ApiError(`${pythonRule(change.rule, group!.id)} - This rule already exists in group`);
    }
    this.#log.audit(`Authorize security group ingress ${group!.name}`);
    await this.#refresh(context, group!.id);
  }

  /** Takes back what {@link authorize} let in: all of it, or nothing. Throws ApiError for a rule which isn't there. */
  async revoke(context: Context, ref: GroupRef, wishes: readonly PermissionWish[]): Promise<void> {
    const [group] = await this.#resolve(context, [ref]);
    const rules = rulesOf(await this.#withGroupIds(context, wishes));
    const change = await removeRules(this.parts.db, group!.id, rules);
    if (change.result !== 'done') throw new ApiError('No rule for the specified parameters.');
    this.#log.audit(`Revoke security group ingress ${group!.name}`);
    await this.#refresh(context, group!.id);
  }

  /**
   * Makes these the groups of an instance. Its host hears of each which it left or joined, and so do the hosts of those
   * who let one of these in (in 2011.3 only its own). Throws errors of unknown groups, SecurityGroupNotFound also for one
   * of another project than the instance's.
   */
  async setOfInstance(
    context: Context,
    instance: Pick<InstanceRow, 'id' | 'host' | 'project_id'>,
    refs: readonly GroupRef[],
  ): Promise<void> {
    const { db } = this.parts;
    const groups = await this.#resolve(context, refs);
    const foreign = groups.find((group) => group.project_id !== instance.project_id);
    if (foreign !== undefined) throw new SecurityGroupNotFound(foreign.id);
    const ids = groups.map((group) => group.id);
    const changed = await setGroupsOfInstance(db, instance.id, ids);
    if (instance.host !== null) for (const id of changed) await this.#refreshHost(context, instance.host, id);
    const others = await hostsToRefresh(db, instance.id);
    for (const { security_group_id: id, host } of others.filter((one) => changed.includes(one.security_group_id))) {
      await this.#tell(host, id, (compute) =>
        compute.refresh_security_group_members(context, { security_group_id: id }, { confirm: false }),
      );
    }
  }

  #limits(projectId: string): Promise<QuotaLimits> {
    return projectLimits(this.parts.db, this.parts.runtime.flags, projectId);
  }

  /** Named groups, each once, in the order of the names. */
  async #resolve(context: Context, refs: readonly GroupRef[]): Promise<SecurityGroupRow[]> {
    await this.ensureDefault(context);
    const names = refs.flatMap((ref) => ('name' in ref ? ref.name : []));
    const ids = refs.flatMap((ref) => ('id' in ref ? ref.id : []));
    const rows = [...(await this.byNames(context, names)), ...(await this.byIds(context, ids))];
    return [...new Map(rows.map((row) => [row.id, row])).values()];
  }

  async #withGroupIds(context: Context, wishes: readonly PermissionWish[]): Promise<Permission[]> {
    const permissions: Permission[] = [];
    for (const { groups, ...wish } of wishes) {
      const groupIds: number[] = [];
      for (const ref of groups) groupIds.push(await this.#sourceGroup(context, ref));
      permissions.push({ ...wish, groupIds });
    }
    return permissions;
  }

  /** A group of any project whose name or id the caller knows together with the project. */
  async #sourceGroup(context: Context, ref: SourceGroupRef): Promise<number> {
    const project = ref.project ?? context.requireProject();
    if ('name' in ref) {
      if (project === context.projectId && ref.name === defaultGroupName) return this.ensureDefault(context);
      const [row] = await groupsByNames(this.parts.db, project, [ref.name]);
      if (row === undefined) throw new SecurityGroupNotFoundForProject(ref.name, project);
      return row.id;
    }
    const [row] = await groupsByIds(this.parts.db, [ref.id]);
    if (row === undefined || !(context.isAdmin || row.project_id === project)) throw new SecurityGroupNotFound(ref.id);
    return row.id;
  }

  /** Tells the hosts of a group's members. */
  async #refresh(context: Context, groupId: number): Promise<void> {
    for (const host of await hostsOfGroup(this.parts.db, groupId)) await this.#refreshHost(context, host, groupId);
  }

  #refreshHost(context: Context, host: string, groupId: number): Promise<void> {
    return this.#tell(host, groupId, (compute) =>
      compute.refresh_security_group_rules(context, { security_group_id: groupId }, { confirm: false }),
    );
  }

  /** A host which can't be told reads the rules anew when it starts. */
  async #tell(host: string, groupId: number, send: (compute: ComputeCast) => Promise<unknown>): Promise<void> {
    try {
      await send(this.parts.rpc.computeOn(host).cast);
    } catch (error) {
      this.#log.warn(`Host ${host} could not be told about security group ${groupId}: ${errorText(error)}`);
    }
  }
}

type ComputeCast = ReturnType<CloudParts['rpc']['computeOn']>['cast'];

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function invalid(parameter: string, value: string, reason: string): InvalidParameterValue {
  return new InvalidParameterValue(`Value (${value}) for parameter ${parameter} is invalid. ${reason}`);
}

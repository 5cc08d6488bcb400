import type { View } from './view.js';

/** Names are there once a project, no group has a rule twice, and what hangs on a group is gone with it. */
export function securityGroups(view: View): string[] {
  const groups = view.live('security_groups');
  const there = new Set(groups.map((group) => group.id));
  const instances = new Set(view.live('instances').map((row) => row.id));
  const rules = view.live('security_group_rules');
  const memberships = view.live('security_group_instance_association');
  const isGone = (id: number | null): boolean => id !== null && !there.has(id);
  return [
    ...twice(groups.map((group) => `project ${group.project_id} has the group ${group.name}`)),
    ...twice(
      rules.map(
        (rule) =>
          `group ${rule.parent_group_id} has the rule ${rule.protocol} ${rule.from_port}-${rule.to_port} from ${rule.cidr ?? `group ${rule.group_id}`}`,
      ),
    ),
    ...rules
      .filter((rule) => isGone(rule.parent_group_id) || isGone(rule.group_id))
      .map(
        (rule) => `rule ${rule.id} is of group ${rule.parent_group_id} and for group ${rule.group_id}, and one is gone`,
      ),
    ...memberships
      .filter((row) => isGone(row.security_group_id) || !instances.has(row.instance_id!))
      .map((row) => `instance ${row.instance_id} is in group ${row.security_group_id}, and one is gone`),
  ];
}

function twice(texts: readonly string[]): string[] {
  const again = texts.filter((text, index) => texts.indexOf(text) !== index);
  return [...new Set(again)].map((text) => `${text} more than once`);
}

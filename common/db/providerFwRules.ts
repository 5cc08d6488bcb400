import type { Db, Queryable } from './db.js';
import type { ProviderFwRuleRow } from './rows.js';
import { rowsWhere, softDelete } from './where.js';

/** What a rule keeps out, wherever it goes. */
export interface ProviderRule {
  readonly protocol: string;
  readonly from_port: number | null;
  readonly to_port: number | null;
  readonly cidr: string;
}

/** Every rule, by ascending id. */
export async function listProviderRules(db: Queryable): Promise<ProviderFwRuleRow[]> {
  return rowsWhere(db, 'provider_fw_rules', { deleted: false });
}

/** Adds those rules which aren't there; answers how many. Of racing callers with equal rules one adds each. */
export async function addProviderRules(db: Db, rules: readonly ProviderRule[]): Promise<number> {
  return db.transaction(async (tx) => {
    await tx.lock('provider-fw-rules');
    const known = await listProviderRules(tx);
    const isKnown = (rule: ProviderRule): boolean =>
      known.some(
        (row) =>
          row.cidr === rule.cidr &&
          row.protocol === rule.protocol &&
          row.from_port === rule.from_port &&
          row.to_port === rule.to_port,
      );
    const fresh = rules.filter((rule) => !isKnown(rule));
    for (const { protocol, from_port, to_port, cidr } of fresh) {
      await tx.insert('provider_fw_rules', {
        protocol,
        cidr,
        ...(from_port !== null && { from_port }),
        ...(to_port !== null && { to_port }),
      });
    }
    return fresh.length;
  });
}

/** Removes (softly) the rules about a CIDR; answers how many there were. Of racing callers one gets each. */
export async function removeProviderRules(db: Queryable, cidr: string): Promise<number> {
  return softDelete(db, 'provider_fw_rules', { cidr });
}

import { absentActions } from './absent.js';
import type { Ec2Action, Ec2Actions } from './action.js';
import { addressActions } from './addresses.js';
import { imageActions } from './images.js';
import { instanceActions } from './instances.js';
import { instanceOperationActions } from './instanceOperations.js';
import { keyPairActions } from './keyPairs.js';
import { registrationActions } from './registration.js';
import { securityGroupActions } from './securityGroups.js';
import { volumeActions } from './volumes.js';
import { zoneActions } from './zones.js';

/** Every action of the Cloud endpoint by its EC2 name. Throws when two files claim one name. */
export function cloudActions(): ReadonlyMap<string, Ec2Action> {
  return mergeActions([
    addressActions,
    imageActions,
    instanceActions,
    instanceOperationActions,
    keyPairActions,
    registrationActions,
    securityGroupActions,
    volumeActions,
    zoneActions,
    absentActions,
  ]);
}

/** The tables in one. Throws when two of them have an action of one name. */
export function mergeActions(tables: readonly Ec2Actions[]): ReadonlyMap<string, Ec2Action> {
  const actions = new Map<string, Ec2Action>();
  for (const [name, entry] of tables.flatMap((table) => Object.entries(table))) {
    if (actions.has(name)) throw new Error(`The EC2 action ${name} is declared twice`);
    actions.set(name, entry);
  }
  return actions;
}

/**
 * A camel-case name as 2011.3 turns it into a method's: an underscore before an upper-case letter which follows a lower-case
 * one, or which is followed by something that is not upper case; then lower case (nova 2011.3, nova/api/ec2/apirequest.py).
 */
export function underscored(name: string): string {
  return name
    .replace(/(?<=[a-z])[A-Z]|[A-Z](?=[^A-Z])/g, '_$&')
    .toLowerCase()
    .replace(/^_+|_+$/g, '');
}

/** Finds an action by the name which a client sent. */
export class ActionTable {
  readonly #byMethod: ReadonlyMap<string, Ec2Action>;

  constructor(private readonly actions: ReadonlyMap<string, Ec2Action>) {
    this.#byMethod = new Map([...actions].map(([name, entry]) => [underscored(name), entry]));
  }

  /**
   * The action; undefined when there is none. Another spelling of 2011.3's method name (`describe_instances`,
   * `describeInstances`) finds it too, but for administrators only, as its role table knows the exact names only.
   */
  find(name: string): Ec2Action | undefined {
    const exact = this.actions.get(name);
    if (exact !== undefined) return exact;
    const method = /^[A-Za-z][A-Za-z0-9_]{0,99}$/.test(name) ? this.#byMethod.get(underscored(name)) : undefined;
    return method && { ...method, roles: [] };
  }
}

import type { Cloud } from '../../common/cloud/cloud.js';
import type { Context } from '../../common/context.js';
import type { ParamSpecs, ParamsOf } from './params.js';

/**
 * What an answer may hold. Object keys are element names, in order; a list is rendered as `<item>` children; a boolean
 * as true or false; null and an empty list as an empty element; undefined is left out.
 */
export type Ec2Value =
  | string
  | number
  | boolean
  | null
  | undefined
  | readonly Ec2Value[]
  | InNamespace
  | { readonly [element: string]: Ec2Value };
export type Ec2Result = { readonly [element: string]: Ec2Value };

/** An element which, with all that is in it, belongs to another XML namespace than the answer. */
export class InNamespace {
  constructor(
    readonly uri: string,
    readonly value: readonly Ec2Value[],
  ) {}
}

/** Roles of `nova 2011.3: nova/api/ec2/__init__.py` Authorizer. An administrator may do everything. */
export type Role = 'projectmanager' | 'sysadmin' | 'netadmin' | 'developer' | 'itsec' | 'cloudadmin';

/** One action: who may call it, what comes in, what goes out. It decides nothing. */
export interface Ec2Action<S extends ParamSpecs = ParamSpecs> {
  /** Any of these; `all` for every authenticated caller; an empty list for administrators only. */
  readonly roles: readonly Role[] | 'all';
  readonly params: S;
  run(cloud: Cloud, context: Context, params: ParamsOf<S>): Promise<Ec2Result>;
}

/** Actions by their EC2 name. The list of entries is the list of features. */
export type Ec2Actions = Readonly<Record<string, Ec2Action>>;

/** Declares an action so that `run` knows the types of its parameters. */
export function action<S extends ParamSpecs>(definition: Ec2Action<S>): Ec2Action {
  return definition as unknown as Ec2Action;
}

/** The answer of an action which only succeeds. */
export const done: Ec2Result = { return: true };

export const netadmin: readonly Role[] = ['netadmin'];
/** Who may work with instances, volumes and images. */
export const sysadmin: readonly Role[] = ['projectmanager', 'sysadmin'];

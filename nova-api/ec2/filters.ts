import type { Cloud } from '../../common/cloud/cloud.js';
import { group, list, required, text, type Param } from './params.js';

/** One `Filter.N`: a name, and the values of which one must match. */
export interface Ec2Filter {
  readonly name: string;
  readonly values: readonly string[];
}
/** What a resource has under a filter's name. Of a list, one element must match. Null and undefined match nothing. */
export type FilterValue = string | number | boolean | null | undefined | readonly FilterValue[];
/** A resource's values by filter name, each computed only when a filter asks for it. */
export type FilterGetters = Readonly<Record<string, () => FilterValue>>;
/** A tag as filters see it. */
export interface FilterTag {
  readonly key: string;
  readonly value: string;
}

const filterGroups = list(group({ Name: required(text), Value: list(text) }), 200);

/** The parameter `Filter`: `Filter.N.Name`, `Filter.N.Value.M`. An action declares it as `Filter: filtersParam`. */
export const filtersParam: Param<readonly Ec2Filter[]> = {
  shape: filterGroups.shape,
  read: (node, path) => filterGroups.read(node, path).map((filter) => ({ name: filter.Name, values: filter.Value })),
};

/**
 * Whether a resource matches all filters: the values of one filter are alternatives, `*` and `?` are wildcards and a
 * backslash takes their meaning away. `tag:KEY`, `tag-key` and `tag-value` look at the tags. A filter which the resource
 * doesn't know is ignored.
 */
export function matchesFilters(
  filters: readonly Ec2Filter[],
  getters: FilterGetters,
  tags: readonly FilterTag[] = [],
): boolean {
  return filters.every((filter) => {
    const value = filterValue(filter.name, getters, tags);
    return value === unknown || matchesAny(value, filter.values);
  });
}

/**
 * Of the resources those which match all filters. The log has a line for filters which the resource doesn't know, as they
 * have no effect.
 */
export function filtered<T>(
  cloud: Cloud,
  filters: readonly Ec2Filter[],
  all: readonly T[],
  gettersOf: (one: T) => FilterGetters,
  tagsOf: (one: T) => readonly FilterTag[] = () => [],
): T[] {
  const [first] = all;
  const ignored = first === undefined ? [] : unknownFilters(filters, gettersOf(first));
  if (ignored.length > 0) {
    cloud.parts.runtime.log.logger('nova.api.ec2').info(`filters without effect: ${JSON.stringify(ignored)}`);
  }
  return all.filter((one) => matchesFilters(filters, gettersOf(one), tagsOf(one)));
}

/** The names of filters which {@link matchesFilters} would ignore, for the log. */
export function unknownFilters(filters: readonly Ec2Filter[], getters: FilterGetters): string[] {
  return filters.filter((filter) => filterValue(filter.name, getters, []) === unknown).map((filter) => filter.name);
}

const unknown = Symbol('unknown filter');

function filterValue(name: string, getters: FilterGetters, tags: readonly FilterTag[]): FilterValue | typeof unknown {
  if (name.startsWith('tag:')) return tags.filter((tag) => tag.key === name.slice(4)).map((tag) => tag.value);
  if (name === 'tag-key') return tags.map((tag) => tag.key);
  if (name === 'tag-value') return tags.map((tag) => tag.value);
  return Object.hasOwn(getters, name) ? getters[name]!() : unknown;
}

function matchesAny(value: FilterValue, patterns: readonly string[]): boolean {
  if (value === null || value === undefined) return false;
  if (typeof value === 'object') return value.some((element) => matchesAny(element, patterns));
  const subject = String(value);
  return patterns.some((pattern) => matchesPattern(subject, pattern));
}

/**
 * Wildcard match in time proportional to the product of the lengths, whatever the pattern: patterns are the caller's,
 * so no regular expression is made of them.
 */
function matchesPattern(subject: string, pattern: string): boolean {
  const tokens = tokensOf(pattern);
  let at = 0;
  let token = 0;
  let star = -1;
  let retry = 0;
  while (at < subject.length) {
    const wanted = tokens[token];
    if (wanted === anyRun) {
      star = token++;
      retry = at;
    } else if (wanted !== undefined && (wanted === anyOne || wanted === subject[at])) {
      token++;
      at++;
    } else if (star >= 0) {
      token = star + 1;
      at = ++retry;
    } else {
      return false;
    }
  }
  while (tokens[token] === anyRun) token++;
  return token === tokens.length;
}

const anyRun = Symbol('*');
const anyOne = Symbol('?');

function tokensOf(pattern: string): (string | typeof anyRun | typeof anyOne)[] {
  const tokens: (string | typeof anyRun | typeof anyOne)[] = [];
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i]!;
    if (char === '*') tokens.push(anyRun);
    else if (char === '?') tokens.push(anyOne);
    else if (char === '\\' && i + 1 < pattern.length) tokens.push(pattern[++i]!);
    else tokens.push(char);
  }
  return tokens;
}

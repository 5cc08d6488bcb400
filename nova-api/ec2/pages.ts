import { ApiError } from '../../common/errors.js';
import { integer, text } from './params.js';

/** Most things of one page, as in EC2. */
const largestPage = 1000;

/** The parameters of an action whose answer may come in pages: it declares `...pageParams`. */
export const pageParams = { MaxResults: integer(1), NextToken: text };

/** Which page somebody wants. */
export interface PageWish {
  readonly MaxResults: number | undefined;
  readonly NextToken: string | undefined;
}

/**
 * One page of what is listed, and the element `nextToken` while there is more. A client which asks for no page gets
 * everything, in the order of the listing; pages are in the order of `keyOf`, which tells things apart: so a page
 * begins after the last thing of the page before it, whatever has come or gone since. Throws ApiError
 * (InvalidNextToken).
 */
export function pageOf<T>(
  all: readonly T[],
  { MaxResults: most, NextToken: token }: PageWish,
  keyOf: (thing: T) => number | string,
): { readonly shown: readonly T[]; readonly more: { readonly nextToken?: string } } {
  if (most === undefined && token === undefined) return { shown: all, more: {} };
  const after = token === undefined ? undefined : keyIn(token);
  const keyed = all.map((thing) => ({ thing, key: sortable(keyOf(thing)) })).sort((a, b) => (a.key < b.key ? -1 : 1));
  const left = after === undefined ? keyed : keyed.filter(({ key }) => key > after);
  const page = left.slice(0, Math.min(most ?? largestPage, largestPage));
  const last = page.at(-1);
  const more = last === undefined || page.length === left.length ? {} : { nextToken: tokenOf(last.key) };
  return { shown: page.map(({ thing }) => thing), more };
}

const digits = 16;
const sortable = (key: number | string): string => (typeof key === 'number' ? String(key).padStart(digits, '0') : key);

const mark = 'after ';
const tokenOf = (key: string): string => Buffer.from(mark + key).toString('base64url');

function keyIn(token: string): string {
  const plain = Buffer.from(token, 'base64url').toString('utf8');
  if (plain.startsWith(mark) && tokenOf(plain.slice(mark.length)) === token) return plain.slice(mark.length);
  throw new ApiError('The specified NextToken is not valid', 'InvalidNextToken');
}

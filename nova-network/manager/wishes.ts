import { Invalid } from '../../common/errors.js';

/** One network which an instance wishes for, and perhaps its address there. */
export interface NetworkWish {
  uuid: string;
  address: string | null;
}

/**
 * The argument `requested_networks` (or `networks`): null or `[[uuid, address or null], …]`. Empty when there are no
 * wishes. Throws Invalid for any other form.
 */
export function parseWishes(value: unknown): NetworkWish[] {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value)) throw new Invalid('The wished networks are no list');
  return value.map((pair: unknown) => {
    const [uuid, address = null] = Array.isArray(pair) ? (pair as unknown[]) : [];
    if (typeof uuid !== 'string' || !(address === null || typeof address === 'string')) {
      throw new Invalid('A wished network is no pair of uuid and address');
    }
    return { uuid: uuid.toLowerCase(), address };
  });
}

/** The integer of a row in a message: a number, or its decimal text. Throws Invalid. */
export function rowId(value: unknown, what: string): number {
  const number = typeof value === 'number' ? value : /^\d{1,10}$/.test(String(value)) ? Number(value) : NaN;
  if (!Number.isInteger(number) || number < 0 || number > 2 ** 31 - 1) throw new Invalid(`${what} is no id`);
  return number;
}

/** A text in a message. Throws Invalid. */
export function textOf(value: unknown, what: string): string {
  if (typeof value !== 'string') throw new Invalid(`${what} is no text`);
  return value;
}

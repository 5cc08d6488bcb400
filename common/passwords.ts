import type { Random } from './runtime/runtime.js';

/** Letters and digits which nobody mistakes for one another (nova 2011.3, nova/utils.py generate_password). */
const letters = '23456789ABCDEFGHJKMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

/** A new password of so many characters. */
export function randomPassword(random: Random, length: number): string {
  return Array.from({ length }, () => letters[random.below(letters.length)]).join('');
}

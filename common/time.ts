/* eslint-disable no-restricted-syntax -- this file formats and parses given times; it never reads a clock */

/**
 * Times in rows are text in UTC, `YYYY-MM-DD HH:MM:SS[.ffffff]`, in all three dialects (see common/db/dialects):
 * they sort as text, and no Date objects are built when a thousand rows are read.
 */
export type DbTime = string;

/** Milliseconds since the epoch as a row's time, six fraction digits. */
export function dbTime(ms: number): DbTime {
  const iso = new Date(ms).toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, 23)}000`;
}

/** A row's time (or a message's, with `T`) as milliseconds since the epoch; NaN when it is none. */
export function parseTime(text: string): number {
  const match = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?Z?$/.exec(text);
  if (!match) return NaN;
  const millis = Number((match[3] ?? '').padEnd(6, '0').slice(0, 3));
  return Date.parse(`${match[1]}T${match[2]}Z`) + millis;
}

/** A row's time as EC2 shows it: `YYYY-MM-DDTHH:MM:SSZ`. */
export function isoTime(time: DbTime): string {
  return `${time.slice(0, 10)}T${time.slice(11, 19)}Z`;
}

/** Milliseconds since the epoch as `YYYY-MM-DDTHH:MM:SSZ`. */
export function isoTimeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/**
 * A row's time as Python serializes a datetime into a message or notification: `YYYY-MM-DD HH:MM:SS`, and `.ffffff`
 * only when it is not zero (nova 2011.3, nova/utils.py to_primitive). Null stays null.
 */
export function pythonTime(time: DbTime | null): string | null {
  if (time === null) return null;
  const fraction = time.slice(20).padEnd(6, '0');
  return Number(fraction) === 0 ? time.slice(0, 19) : `${time.slice(0, 19)}.${fraction}`;
}

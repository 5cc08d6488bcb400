/* eslint-disable no-restricted-syntax -- formats a given time in the host's zone; reads no clock */
import { StartupError } from '../errors.js';
import type { LogLevel } from '../log.js';

/** What a line's format may name as `%(name)s`. */
export interface LineFields {
  asctime: string;
  levelname: LogLevel;
  name: string;
  message: string;
  process: number;
  /** Null outside of a request; Python's `None` is written for a missing user or project. */
  request_id: string | null;
  user_id: string | null;
  project_id: string | null;
}

/** Writes a line. */
export type LineFormat = (fields: LineFields) => string;

/**
 * Compiles a Python %-format string such as `%(asctime)s %(levelname)-8s %(message)s`. Names which this program has no
 * value for (`%(lineno)d`) become `-`. Throws StartupError, naming the flag, for what is no format.
 */
export function compileFormat(flag: string, format: string): LineFormat {
  const parts: LineFormat[] = [];
  let rest = format;
  while (rest !== '') {
    const percent = rest.indexOf('%');
    const literal = percent === -1 ? rest : rest.slice(0, percent);
    if (literal !== '') parts.push(() => literal);
    if (percent === -1) break;
    rest = rest.slice(percent);
    const match = /^%(?:%|\((\w+)\)(-?)0?(\d*)(?:\.\d+)?[sdirf])/.exec(rest);
    if (match === null) throw new StartupError(`--${flag}: ${rest.slice(0, 20)} is no %(name)s of a line format`);
    parts.push(match[1] === undefined ? () => '%' : field(match[1], match[2] === '-', Number(match[3] ?? 0)));
    rest = rest.slice(match[0].length);
  }
  return (fields) => parts.map((part) => part(fields)).join('');
}

function field(name: string, left: boolean, width: number): LineFormat {
  return (fields) => {
    const value = name in fields ? (fields[name as keyof LineFields] ?? 'None') : '-';
    const text = String(value);
    return left ? text.padEnd(width) : text.padStart(width);
  };
}

/** A time as Python's logging writes it: local, `YYYY-MM-DD HH:MM:SS,mmm`. */
export function asctime(ms: number): string {
  const time = new Date(ms);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return `${day} ${clock},${String(time.getMilliseconds()).padStart(3, '0')}`;
}

/** A time in UTC for lines of the JSON form: `YYYY-MM-DDTHH:MM:SS.mmmZ`. */
export function jsonTime(ms: number): string {
  return new Date(ms).toISOString();
}

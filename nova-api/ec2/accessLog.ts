import type { Context } from '../../common/context.js';
import type { DoorRequest, DoorResponse } from '../../common/http/door.js';
import type { RawParams } from './params.js';
import { splitTarget } from '../../common/http/target.js';

// eslint-disable-next-line no-control-regex -- control characters are the point
const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** A client's text for a log line: control characters escaped, so that it can't forge lines, and not endless. */
export function printable(text: string, limit = 200): string {
  const short = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return short.replace(unprintable, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** What an access line is made of. */
export interface Access {
  readonly request: DoorRequest;
  readonly response: DoorResponse;
  readonly seconds: number;
  readonly context: Context;
  readonly controller: string;
  readonly action: string | undefined;
}

/**
 * `<s>.<µs>s <address> <method> <path> <controller>:<action> <status> [<user agent>] <request type> <response type>`
 * (nova 2011.3, nova/api/ec2/__init__.py RequestLogging). Never the query: it holds credentials.
 */
export function accessLine({ request, response, seconds, context, controller, action }: Access): string {
  const { headers, method, url } = request;
  const called = action === undefined ? 'None:None' : `${controller}:${printable(action, 100)}`;
  return (
    `${seconds.toFixed(6)}s ${context.remoteAddress ?? '-'} ${method} ${printable(splitTarget(url).path)} ${called} ` +
    `${response.status} [${printable(headers['user-agent'] ?? 'None')}] ` +
    `${printable(headers['content-type'] ?? 'None')} ${response.headers['content-type'] ?? 'None'}`
  );
}

/** Whether an action changes something, and so gets an AUDIT line. */
export function isChanging(action: string): boolean {
  return !/^(describe|get)/i.test(action);
}

/** Parameters which tell what an action is about, and hold nothing secret. */
const telling =
  /(Id|Ids|Name|PublicIp|Type|Zone|Device|Size|Count|Force|Attribute|OperationType|CidrIp|Port|Protocol)(\.\d+)*$/;
const neverTold = /^(AWSAccessKeyId|Signature.*|X-Amz-.*|UserData.*|.*Password.*|.*Key(Material)?)$/i;

/** ` name=value …` of the telling parameters, at most 20. */
export function auditedParams(params: RawParams): string {
  return [...params]
    .filter(([name]) => telling.test(name) && !neverTold.test(name))
    .slice(0, 20)
    .map(([name, value]) => ` ${printable(name, 60)}=${printable(value, 80)}`)
    .join('');
}

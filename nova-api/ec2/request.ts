import type { DoorRequest } from '../../common/http/door.js';
import { splitTarget } from '../../common/http/target.js';
import { BodyTooLarge, readBody } from '../../common/http/door.js';
import type { RawParams } from './params.js';
import { Refusal, badRequest } from './refusal.js';

/** Most parameters of one request, and characters of one name and one value (65535 is what a MySQL TEXT column holds). */
export const requestLimits = { parameters: 10_000, name: 255, value: 65_535 } as const;

/** An EC2 request, read and decoded; nothing in it is trusted yet. */
export interface Ec2Request {
  readonly method: string;
  /** The path as received, not decoded; `/` when empty. */
  readonly path: string;
  /** The query as received, without `?`. */
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly remoteAddress: string | null;
  /** The raw bytes, which V4 signs. */
  readonly body: Buffer;
  /** Query and form body in one map; of a repeated name the last value (nova 2011.3, nova/api/ec2/__init__.py). */
  readonly params: RawParams;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Decodes `%xx` and `+`. A `%` which starts no such pair stays, as in Python. Throws Refusal when the bytes aren't UTF-8. */
function formDecode(text: string): string {
  if (!/[%+\u0080-\uffff]/.test(text)) return text;
  const bytes: number[] = [];
  const source = Buffer.from(text, 'latin1');
  for (let i = 0; i < source.length; i++) {
    const byte = source[i]!;
    const pair = byte === 0x25 ? text.slice(i + 1, i + 3) : '';
    if (/^[0-9a-f]{2}$/i.test(pair)) {
      bytes.push(parseInt(pair, 16));
      i += 2;
    } else {
      bytes.push(byte === 0x2b ? 0x20 : byte);
    }
  }
  try {
    return utf8.decode(Uint8Array.from(bytes));
  } catch {
    throw badRequest('The request is not encoded in UTF-8', 'MalformedQueryString');
  }
}

/** The `name=value` pairs of a query or form body, decoded, in order. `text` is latin1: one character a byte. */
export function formPairs(text: string): [string, string][] {
  const pairs: [string, string][] = [];
  for (const part of text.split('&', requestLimits.parameters + 2)) {
    if (part === '') continue;
    if (pairs.length >= requestLimits.parameters) {
      throw badRequest(`At most ${requestLimits.parameters} parameters are accepted`, 'MalformedQueryString');
    }
    const equals = part.indexOf('=');
    pairs.push(
      equals === -1 ? [formDecode(part), ''] : [formDecode(part.slice(0, equals)), formDecode(part.slice(equals + 1))],
    );
  }
  return pairs;
}

/** The parameters of query and body. Throws Refusal on names and values which no action could take. */
function paramsOf(query: string, form: string): RawParams {
  const params = new Map<string, string>();
  for (const [name, value] of [...formPairs(query), ...formPairs(form)]) {
    if (name.length > requestLimits.name || !/^[\x21-\x7e]+$/.test(name)) {
      throw badRequest('A parameter name is not 1 to 255 printable ASCII characters', 'MalformedQueryString');
    }
    if (value.length > requestLimits.value) {
      throw badRequest(`The value of parameter ${name} is longer than ${requestLimits.value} characters`);
    }
    // Neither the databases nor an XML answer can hold these.
    // eslint-disable-next-line no-control-regex -- control characters are the point
    if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(value)) {
      throw badRequest(`The value of parameter ${name} contains a control character`);
    }
    params.delete(name);
    params.set(name, value);
  }
  return params;
}

/** Whether the body is a form: said so, or not said at all. Other bodies are not looked at, as in 2011.3. */
function isForm(contentType: string | undefined): boolean {
  const type = (contentType ?? '').split(';', 1)[0]!.trim().toLowerCase();
  return type === '' || type === 'application/x-www-form-urlencoded';
}

/**
 * Reads body and parameters. Throws Refusal (413 for more than `maxBody` bytes, 400 for what can't be decoded or a body
 * which broke off).
 */
export async function readRequest(request: DoorRequest, maxBody: number): Promise<Ec2Request> {
  let body: Buffer;
  try {
    body = await readBody(request.body, maxBody);
  } catch (error) {
    if (error instanceof BodyTooLarge) {
      throw new Refusal(413, 'RequestEntityTooLarge', `A request has at most ${maxBody} bytes (flag ec2_max_body)`);
    }
    throw badRequest('The request broke off', 'IncompleteBody');
  }
  const { path, query } = splitTarget(request.url);
  const form = isForm(request.headers['content-type']) ? body.toString('latin1') : '';
  const { method, headers, remoteAddress } = request;
  return { method, path, query, headers, remoteAddress, body, params: paramsOf(query, form) };
}

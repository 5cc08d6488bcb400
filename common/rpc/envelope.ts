import { Context, wireTime, type WireContext } from '../context.js';
import type { Runtime } from '../runtime/runtime.js';
import { parseTime } from '../time.js';
import type { Reply } from './transport.js';

/** Content type and encoding of every message of ours (nova 2011.3, nova/rpc/impl_kombu.py). */
export const jsonContentType = 'application/json';
export const utf8Encoding = 'utf-8';

/** A readable message of a caller or caster. */
export interface Request {
  readonly method: string;
  readonly args: Readonly<Record<string, unknown>>;
  /** Where a caller waits; null for a cast. */
  readonly messageId: string | null;
  readonly context: Context;
  /** What was odd about the message and was mended while reading, for one line of the log. */
  readonly oddities: readonly string[];
}

/** A message which nobody can act on. Never holds any of its content but the message id. */
export interface Poison {
  readonly reason: string;
  /** Class name and text of the failure which the caller gets. */
  readonly pythonClass: string;
  readonly messageId: string | null;
}

const notAscii = /[\u007f-\uffff]/g;

/** JSON text in ASCII, everything else as `\uXXXX`, as Python's json.dumps writes it. */
export function encodeJson(value: unknown): string {
  const text = JSON.stringify(value);
  return text.replace(notAscii, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Arguments as they travel: what is undefined becomes null, for Python wants every positional argument. */
function wireArgs(args: object): Record<string, unknown> {
  const entries = Object.entries(args).map(([name, value]: [string, unknown]) => [
    name,
    value === undefined ? null : value,
  ]);
  return Object.fromEntries(entries) as Record<string, unknown>;
}

/**
 * The body of a cast, or of a call when `messageId` (32 hex digits) is given. Ten context keys, `method`, `args` and
 * `_msg_id`, nothing else: another key would stop a Python consumer (nova 2011.3, nova/context.py).
 */
export function requestBody(context: Context, method: string, args: object, messageId?: string): string {
  const body: Record<string, unknown> = { ...context.toWire(), method, args: wireArgs(args) };
  if (messageId !== undefined) body['_msg_id'] = messageId;
  return encodeJson(body);
}

const ending = encodeJson({ result: null, failure: null });

/** The two replies of a handler which answered `result`: the result and the ending; for null two endings. */
export function resultBodies(result: unknown): string[] {
  if (result === null || result === undefined) return [ending, ending];
  return [encodeJson({ result, failure: null }), ending];
}

/** The one reply of a handler which failed: class name, text, and traceback lines which each end in a newline. */
export function failureBody(failure: NonNullable<Reply['failure']>): string {
  return encodeJson({ result: null, failure });
}

/** The body of a notification: its own keys and the ten of the context (nova 2011.3, nova/notifier/rabbit_notifier.py). */
export function notificationBody(context: Context, notification: Readonly<Record<string, unknown>>): string {
  return encodeJson({ ...notification, ...context.toWire() });
}

/**
 * Parses JSON as Python writes it: `NaN`, `Infinity` and `-Infinity`, which are no JSON, become null.
 * Throws SyntaxError.
 */
export function parsePythonJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const mended = text.replace(/"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g, (token) =>
      token.startsWith('"') ? token : 'null',
    );
    if (mended === text) throw error;
    return JSON.parse(mended) as unknown;
  }
}

const readableId = /^[\w.-]{1,200}$/;
const idInText = /"_msg_id"\s*:\s*"([\w.-]{1,200})"/;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readContentType(type: string | undefined, encoding: string | undefined): string | null {
  const mediaType = type?.split(';')[0]?.trim().toLowerCase() ?? jsonContentType;
  if (mediaType !== jsonContentType && mediaType !== '') return `content type ${JSON.stringify(type?.slice(0, 60))}`;
  const name = (encoding ?? '').toLowerCase();
  if (!['', 'utf-8', 'utf8', 'binary', 'ascii', 'us-ascii'].includes(name)) {
    return `content encoding ${JSON.stringify(encoding?.slice(0, 60))}`;
  }
  return null;
}

const pythonTypeNames: Readonly<Record<string, string>> = { string: 'unicode', number: 'int', boolean: 'bool' };
function pythonTypeName(value: unknown): string {
  if (value === null) return 'NoneType';
  if (Array.isArray(value)) return 'list';
  return pythonTypeNames[typeof value] ?? 'dict';
}

const contextKeys: ReadonlySet<string> = new Set<keyof WireContext>([
  '_context_user_id',
  '_context_project_id',
  '_context_is_admin',
  '_context_read_deleted',
  '_context_roles',
  '_context_remote_address',
  '_context_timestamp',
  '_context_request_id',
  '_context_auth_token',
  '_context_strategy',
]);

/**
 * The context of a message. Unknown keys are left out and missing ones filled in, and a timestamp in another form is
 * brought into the wire's, because this context goes on to daemons which stop at such things.
 */
function readContext(body: Readonly<Record<string, unknown>>, runtime: Runtime, oddities: string[]): Context {
  const now = wireTime(runtime.clock.now());
  const context = Context.fromWire(body, { timestamp: now, requestId: runtime.random.uuid() });
  for (const key of Object.keys(body)) {
    if (key.startsWith('_context_') && !contextKeys.has(key)) oddities.push(`unknown key ${key.slice(0, 60)}`);
  }
  for (const key of contextKeys) {
    if (!Object.hasOwn(body, key)) oddities.push(`no ${key}`);
  }
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/.test(context.timestamp)) return context;
  oddities.push('odd _context_timestamp');
  const time = parseTime(context.timestamp);
  return new Context({ ...context, timestamp: Number.isNaN(time) ? now : wireTime(time) });
}

/**
 * Reads a message from the bus. Poison is what has no method or no arguments to act on: another content type, text
 * which is no JSON, JSON which is no object, no method, `args` which are no object. Never throws.
 */
export function parseRequest(
  message: { body: string; contentType: string | undefined; contentEncoding: string | undefined },
  runtime: Runtime,
): Request | Poison {
  const poison = (reason: string, messageId: string | null, pythonClass = 'ValueError'): Poison => ({
    reason,
    pythonClass,
    messageId,
  });
  const badType = readContentType(message.contentType, message.contentEncoding);
  if (badType !== null) return poison(badType, idInText.exec(message.body)?.[1] ?? null);
  let body: unknown;
  try {
    body = parsePythonJson(message.body);
  } catch {
    return poison('No JSON object could be decoded', idInText.exec(message.body)?.[1] ?? null);
  }
  if (!isObject(body))
    return poison(`'${pythonTypeName(body)}' object has no attribute 'keys'`, null, 'AttributeError');
  const rawId = body['_msg_id'];
  const messageId = typeof rawId === 'string' && readableId.test(rawId) ? rawId : null;
  const method = body['method'];
  if (typeof method !== 'string' || method === '') return poison('No method for message', messageId, 'AttributeError');
  const args = Object.hasOwn(body, 'args') ? body['args'] : {};
  if (!isObject(args)) {
    return poison(`'${pythonTypeName(args)}' object has no attribute 'iteritems'`, messageId, 'AttributeError');
  }
  const oddities: string[] = [];
  return { method, args, messageId, context: readContext(body, runtime, oddities), oddities };
}

/** True for what {@link parseRequest} could not read. */
export function isPoison(parsed: Request | Poison): parsed is Poison {
  return 'reason' in parsed;
}

/** Reads a reply. Null when it is none: no JSON, no object, or a failure of another form. */
export function parseReply(text: string): Reply | null {
  let body: unknown;
  try {
    body = parsePythonJson(text);
  } catch {
    return null;
  }
  if (!isObject(body)) return null;
  const failure = body['failure'] ?? null;
  const result = body['result'] ?? null;
  if (failure === null) return { result, failure: null };
  if (!Array.isArray(failure) || failure.length < 2) return null;
  const [excType, text0, trace] = failure as unknown[];
  const lines: readonly unknown[] = Array.isArray(trace) ? trace : [];
  return { result: null, failure: [String(excType), String(text0), lines.map(String)] };
}

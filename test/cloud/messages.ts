import type { RecordedMessage } from '../support/rabbitmq.js';
import { aligned, differences, shown, type Difference } from './values.js';

type Body = Record<string, unknown>;

/** A message with what the broker's record leaves to be found out: who sent it, and what was answered. */
export interface Sent {
  readonly sender: string;
  readonly kind: 'call' | 'cast' | 'fanout' | 'notification' | 'other';
  readonly name: string;
  readonly message: RecordedMessage;
  readonly replies: RecordedMessage[];
}

const bodyOf = ({ body }: RecordedMessage): Body =>
  typeof body === 'object' && body !== null && !Array.isArray(body) ? (body as Body) : {};

/** Which rows a request is about, to follow one of several instances which are made at a time. */
function subjectOf(body: Body): string {
  const of = (value: unknown): Body => (value ?? {}) as Body;
  return String(of(body['args'])['instance_id'] ?? of(body['payload'])['instance_id'] ?? '');
}

/** Daemons which send requests to network and volume by themselves, of those on whose behalf they work. */
const ownRequests: readonly (readonly [RegExp, RegExp, string])[] = [
  // [the request, a request earlier in the flow, who sends the first when there was the second]
  [/^compute\S* run_instance$/, /^scheduler run_instance$/, 'scheduler'],
  [/^compute\S* start_instance$/, /^scheduler start_instance$/, 'scheduler'],
  [/^compute\S* prep_resize$/, /^scheduler prep_resize$/, 'scheduler'],
  [/^compute\S* (resize_instance|finish_resize)$/, /^compute\S* prep_resize$/, 'compute'],
  [/^compute\S* finish_revert_resize$/, /^compute\S* revert_resize$/, 'compute'],
  [/^network \w+_fixed_ip_\w+$/, /^compute\S* \w+_fixed_ip_\w+$/, 'compute'],
  [/^volume\S* /, /^scheduler /, 'scheduler'],
  [/^network allocate_for_instance$/, /^compute\S* (run|start)_instance$/, 'compute'],
  [
    /^network (get_instance_nw_info|deallocate_for_instance)$/,
    /^compute\S* ((terminate|stop|reboot|rescue|unrescue|rebuild)_instance|\w+_resize|\w+_fixed_ip_\w+|inject_network_info)$/,
    'compute',
  ],
  [/^volume\S* delete_volume$/, /^compute\S* terminate_instance$/, 'compute'],
  [/^compute\S* refresh_security_group_members$/, /^network (de)?allocate_for_instance$/, 'network'],
  [/^network set_network_host$/, /^network(\.\S+)? (allocate_for_instance|associate_floating_ip)$/, 'network'],
  [/^network\S* (dis)?associate_floating_ip$/, /^network deallocate_for_instance$/, 'network'],
];

/**
 * The requests and notifications of a record, in order, with their senders and replies. The record does not say who
 * sent a message; it follows from the method and from what was asked for before in the same flow.
 */
export function conversation(messages: readonly RecordedMessage[]): Sent[] {
  const sent: Sent[] = [];
  const calls = new Map<string, Sent>();
  for (const message of messages) {
    const body = bodyOf(message);
    const asked = calls.get(message.exchange);
    if (asked !== undefined) {
      asked.replies.push(message);
      continue;
    }
    const id = body['_msg_id'];
    const method = typeof body['method'] === 'string' ? body['method'] : String(body['event_type'] ?? '-');
    const target = message.exchange.endsWith('_fanout') ? message.exchange : message.routing_key;
    const name = `${target} ${method}`;
    const rule = ownRequests.find(
      ([request, before]) => request.test(name) && sent.some((earlier) => before.test(earlier.name)),
    );
    const published = typeof body['publisher_id'] === 'string' ? body['publisher_id'].split('.')[0]! : undefined;
    const capabilities =
      message.exchange === 'scheduler_fanout' ? String((body['args'] as Body)['service_name']) : undefined;
    const entry: Sent = {
      sender: published ?? capabilities ?? rule?.[2] ?? 'api',
      kind:
        published !== undefined
          ? 'notification'
          : capabilities !== undefined
            ? 'fanout'
            : id === undefined
              ? 'cast'
              : 'call',
      name,
      message,
      replies: [],
    };
    sent.push(entry);
    if (typeof id === 'string') calls.set(id, entry);
  }
  return sent;
}

export interface MessageRules {
  /** Instances are made side by side: order is compared for each of them. */
  readonly parallel?: boolean;
  /** The scheduler may choose either host. */
  readonly anyHost?: boolean;
  /** Each host sends by its own clock, as long as it runs: the first four messages of each are compared. */
  readonly byTheClock?: boolean;
  /** The requests were published by the test: only what the daemons sent is compared. */
  readonly byHand?: boolean;
  /** Places whose values depend on what ran before: only their types are compared. */
  readonly typesOnly?: RegExp;
}

/** Lanes: the messages of one sender (about one instance, where several are worked on side by side). */
function lanes(
  messages: readonly RecordedMessage[],
  { parallel = false, byTheClock = false }: MessageRules,
): Map<string, Sent[]> {
  const result = new Map<string, Sent[]>();
  const subjects: string[] = [];
  const all = conversation(messages);
  if (parallel) {
    subjects.push(...new Set(all.map(({ message }) => subjectOf(bodyOf(message)))));
    subjects.sort((a, b) => Number(a) - Number(b));
  }
  for (const entry of all) {
    const number = parallel ? ` (instance ${subjects.indexOf(subjectOf(bodyOf(entry.message))) + 1})` : '';
    const host = byTheClock ? ` on ${String((bodyOf(entry.message)['args'] as Body)['host'])}` : '';
    const lane = `${entry.sender}${number}${host}`;
    const before = result.get(lane) ?? [];
    if (!byTheClock || before.length < 4) result.set(lane, [...before, entry]);
  }
  return result;
}

/**
 * A null result is two null messages; a Python replier loses the second one, or sends failures of its own channel
 * instead, when the caller was faster. Those are accidents and no contract.
 */
function withoutReplierNoise(replies: readonly RecordedMessage[]): RecordedMessage[] {
  const noise = (reply: RecordedMessage): boolean =>
    /^AMQP(Channel|Connection)Exception$/.test(String((bodyOf(reply)['failure'] as unknown[] | null)?.[0]));
  const kept = replies.filter((reply) => !noise(reply));
  const [first] = kept;
  const lost =
    first !== undefined && kept.length === 1 && bodyOf(first)['result'] === null && bodyOf(first)['failure'] === null;
  return lost ? [first, first] : kept;
}

/** Traceback texts have their own shape in each language; there must be some. */
function comparableReply({ body, properties }: RecordedMessage): unknown {
  const reply = body as { result: unknown; failure: unknown[] | null };
  const failure = reply.failure;
  if (!Array.isArray(failure)) return { body, properties };
  const [type, text, traceback] = failure as [string, string, string[]];
  return {
    body: {
      ...reply,
      failure: [type, text, Array.isArray(traceback) && traceback.every((line) => typeof line === 'string')],
    },
    properties,
  };
}

function withoutHost<T extends string>(text: T, { anyHost = false }: MessageRules): string {
  return anyHost ? text.replace(/\bcloud[12]\b/g, 'cloudN') : text;
}

/** Everything in which the messages of a flow differ from the recorded ones. */
export function messageDifferences(
  ours: readonly RecordedMessage[],
  original: readonly RecordedMessage[],
  rules: MessageRules = {},
): Difference[] {
  const left = lanes(ours, rules);
  const right = lanes(original, rules);
  const found: Difference[] = [];
  for (const lane of [...new Set([...right.keys(), ...left.keys()])].sort()) {
    const label = ({ kind, name }: Sent): string => withoutHost(`${kind} ${name}`, rules);
    for (const [mine, theirs] of aligned(left.get(lane) ?? [], right.get(lane) ?? [], label)) {
      const what = `${lane}: ${label((mine ?? theirs)!)}`;
      if (mine === undefined || theirs === undefined) {
        const place = (sent: Sent | undefined): string => (sent === undefined ? 'absent' : 'sent');
        found.push({ what, ours: place(mine), original: place(theirs) });
        continue;
      }
      const parts = ({ exchange, routing_key, properties, body }: RecordedMessage): unknown => ({
        exchange,
        routing_key,
        properties,
        body,
      });
      if (!(rules.byHand && mine.sender === 'api')) {
        found.push(...pairDifferences(what, parts(mine.message), parts(theirs.message), rules));
      }
      const replies = withoutReplierNoise(theirs.replies);
      const count = Math.max(mine.replies.length, replies.length);
      for (let index = 0; index < count; index += 1) {
        const [reply, recorded] = [mine.replies[index], replies[index]];
        const where = `${what} / reply ${index + 1}`;
        if (reply === undefined || recorded === undefined) {
          found.push({ what: where, ours: shown(reply?.body), original: shown(recorded?.body) });
        } else {
          found.push(...pairDifferences(where, comparableReply(reply), comparableReply(recorded), rules));
        }
      }
    }
  }
  const { typesOnly } = rules;
  const kindOf = (text: string): string => (/^-?\d/.test(text) ? 'number' : text.slice(0, 1));
  return found.filter(({ what, ours, original }) => !(typesOnly?.test(what) && kindOf(ours) === kindOf(original)));
}

function pairDifferences(what: string, ours: unknown, original: unknown, rules: MessageRules): Difference[] {
  const plain = (value: unknown): unknown => JSON.parse(withoutHost(JSON.stringify(value), rules)) as unknown;
  return differences(what, plain(ours), plain(original)).map((difference) => ({
    ...difference,
    what: difference.what
      .replace('.body._context_', '._context_')
      .replace('.body.args.', '.args.')
      .replace('.body.', '.'),
  }));
}

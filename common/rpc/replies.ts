import { parseReply } from './envelope.js';
import type { Reply } from './transport.js';

/** What a reply message means for the call which waits. */
export type ReplyStep =
  /** More is to come. */
  | { readonly kind: 'more' }
  /** The call is over; `clean` when nothing more will arrive on this reply queue, `ending` when one more null will. */
  | { readonly kind: 'end'; readonly reply: Reply; readonly rest: 'clean' | 'ending' | 'unsure' };

/**
 * A Python replier whose channel broke at the ending reports that, instead of the ending, to a caller who has the
 * result already (rpc contract 7).
 */
const replierNoise: ReadonlySet<string> = new Set(['AMQPChannelException', 'AMQPConnectionException']);

/**
 * Gathers the replies of one call (nova 2011.3, nova/rpc/impl_kombu.py): results up to a null, which ends it with the
 * last result before; or a failure, which ends it at once. A null at the beginning is a null result, and its own
 * ending is still to come. What cannot be read is a failure of the call.
 */
export class ReplyGatherer {
  #last: unknown = null;
  #messages = 0;

  accept(body: string): ReplyStep {
    const reply = parseReply(body);
    this.#messages += 1;
    if (reply === null) {
      const failure = ['ValueError', 'The reply cannot be read', []] as const;
      return { kind: 'end', reply: { result: null, failure }, rest: 'unsure' };
    }
    if (reply.failure !== null) {
      const noise = this.#last !== null && replierNoise.has(reply.failure[0]);
      return { kind: 'end', reply: noise ? { result: this.#last, failure: null } : reply, rest: 'unsure' };
    }
    if (reply.result !== null) {
      this.#last = reply.result;
      return { kind: 'more' };
    }
    return {
      kind: 'end',
      reply: { result: this.#last, failure: null },
      rest: this.#messages === 1 ? 'ending' : 'clean',
    };
  }
}

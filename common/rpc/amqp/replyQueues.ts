import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import { MessageNotDelivered } from '../../errors.js';
import type { Runtime, Timer } from '../../runtime/runtime.js';
import { parseReply } from '../envelope.js';
import type { ReplyStep } from '../replies.js';
import type { BrokerConnection, ConnectionUser } from './connection.js';
import { declareReplyQueue } from './declare.js';

type Rest = (ReplyStep & { kind: 'end' })['rest'];

/** Who waits on a reply queue. */
export interface ReplyListener {
  onReply(body: string): void;
  /** The queue is gone before the call was over. */
  onLost(reason: string): void;
}

/** A reply queue which is one caller's until it is released. */
export interface ReplyQueue {
  /** 32 hex digits; name of the queue and of its exchange. */
  readonly messageId: string;
  listen(listener: ReplyListener): void;
}

/** Somebody's wish for a reply queue. */
export interface Wish {
  /** Rejects with MessageNotDelivered when there will be none: no connection, or the wish was withdrawn. */
  readonly queue: Promise<ReplyQueue>;
  /** The call is over: nothing is kept of its wish. Without effect once the wish is fulfilled. */
  withdraw(): void;
}

/** A wish which is not yet fulfilled. */
interface Waiter {
  resolve(queue: ReplyQueue): void;
  reject(error: Error): void;
  /** Takes it out of the line in which it stands. */
  leave(): void;
  withdrawn: boolean;
}

interface Pooled extends ReplyQueue {
  readonly channel: Channel;
  listener: ReplyListener | null;
  timer: Timer | null;
}

/** Most reply queues at a time, each a call in flight; a broker allows 2047 channels. Further callers wait. */
const mostQueues = 1000;
/** Most queues which are kept for later calls. */
const mostIdle = 100;
/**
 * How long a caller who finds so many in use waits for one of them, before another is declared: a declared one costs ten
 * times the call, and those in use come back soon unless somebody doesn't answer.
 */
const patienceMs = 2000;
/** The part of a call's time which it waits so at most: the rest is for a queue of its own, and for the answer. */
const patienceShare = 1 / 4;
/** How long the second message of a null result may take. */
const endingMs = 10_000;

/**
 * Reply queues for calls, each on a channel of its own as a Python caller has it, used again by later calls: to declare
 * one for each call costs ten times the call. A queue comes back only when it is certain that nothing more will arrive
 * on it, or the late end of one call would answer the next.
 */
export class ReplyQueues implements ConnectionUser {
  readonly #open = new Set<Pooled>();
  #idle: Pooled[] = [];
  #opening = 0;
  /** Who waits for a queue which comes back, or for room to open another, in order. */
  readonly #waiting = new Set<Waiter>();

  constructor(
    private readonly runtime: Runtime,
    private readonly broker: BrokerConnection,
  ) {}

  attach(): void {}

  detach(reason: string): void {
    this.#idle = [];
    for (const queue of [...this.#open]) this.#lose(queue, reason);
  }

  /** Wishes which are not yet fulfilled. */
  get wishes(): number {
    return this.#waiting.size + this.#opening;
  }

  /**
   * Asks for a queue for one call, which takes `timeoutMs` at most. How long it waits is the caller's to know, who
   * withdraws the wish when the call is over.
   */
  acquire(timeoutMs: number): Wish {
    let waiter!: Waiter;
    const queue = new Promise<ReplyQueue>((resolve, reject) => {
      waiter = { resolve, reject, leave: () => undefined, withdrawn: false };
    });
    if (this.#scarce(mostIdle)) this.#wait(waiter, Math.min(patienceMs, timeoutMs * patienceShare));
    else this.#serve(waiter);
    const withdraw = (): void => {
      waiter.withdrawn = true;
      waiter.leave();
      waiter.reject(new MessageNotDelivered('The call was over before there was a reply queue for it'));
    };
    return { queue, withdraw };
  }

  #scarce(most: number): boolean {
    return this.#idle.length === 0 && this.#open.size + this.#opening >= most;
  }

  /** Lets somebody stand in line until it is his turn, or so long. */
  #wait(waiter: Waiter, ms?: number): void {
    waiter.leave = () => {
      timer?.cancel();
      this.#waiting.delete(waiter);
    };
    const serve = (): void => {
      waiter.leave();
      this.#serve(waiter);
    };
    const timer = ms === undefined ? undefined : this.runtime.after(ms, serve);
    this.#waiting.add(waiter);
  }

  /** A queue came back or is gone, or one did not come to be: whose turn it is. */
  #next(): void {
    const [waiter] = this.#waiting;
    if (waiter === undefined) return;
    waiter.leave();
    this.#serve(waiter);
  }

  #serve(waiter: Waiter): void {
    const idle = this.#idle.pop();
    if (idle !== undefined) waiter.resolve(idle);
    else if (this.#scarce(mostQueues)) this.#wait(waiter);
    else void this.#openFor(waiter);
  }

  async #openFor(waiter: Waiter): Promise<void> {
    const { connection, giveUp } = this.broker.nextConnection();
    waiter.leave = () => giveUp(new MessageNotDelivered('Nobody waits any more'));
    this.#opening += 1;
    let queue: Pooled | null = null;
    try {
      queue = await this.#create(await connection);
    } catch (error) {
      waiter.reject(error as Error);
    }
    this.#opening -= 1;
    if (queue === null) this.#next();
    else if (waiter.withdrawn) this.release(queue, 'clean');
    else waiter.resolve(queue);
  }

  /** Gives a queue back; `rest` says what may still arrive on it. */
  release(released: ReplyQueue, rest: Rest): void {
    const queue = released as Pooled;
    if (!this.#open.has(queue)) return;
    if (rest === 'clean') {
      this.#keep(queue);
    } else if (rest === 'unsure') {
      this.#dispose(queue);
    } else {
      queue.timer = this.runtime.after(endingMs, () => this.#dispose(queue));
      queue.listener = {
        onReply: (body) => {
          queue.timer?.cancel();
          const reply = parseReply(body);
          if (reply !== null && reply.result === null && reply.failure === null) this.#keep(queue);
          else this.#dispose(queue);
        },
        onLost: () => queue.timer?.cancel(),
      };
    }
  }

  #keep(queue: Pooled): void {
    queue.listener = null;
    queue.timer = null;
    if (this.#idle.length >= mostIdle && this.#waiting.size === 0) {
      this.#dispose(queue);
      return;
    }
    this.#idle.push(queue);
    this.#next();
  }

  /** Closes the channel: with its last consumer the queue goes, and with its last queue the exchange. */
  #dispose(queue: Pooled): void {
    this.#forget(queue);
    queue.channel.close().catch(() => undefined);
  }

  #lose(queue: Pooled, reason: string): void {
    if (!this.#open.has(queue)) return;
    this.#forget(queue);
    queue.listener?.onLost(reason);
  }

  #forget(queue: Pooled): void {
    queue.timer?.cancel();
    this.#open.delete(queue);
    this.#idle = this.#idle.filter((other) => other !== queue);
    this.#next();
  }

  async #create(connection: ChannelModel): Promise<Pooled> {
    try {
      const channel = await connection.createChannel();
      const queue: Pooled = {
        messageId: this.runtime.random.uuid().replaceAll('-', ''),
        channel,
        listener: null,
        timer: null,
        listen: (listener) => {
          queue.listener = listener;
        },
      };
      channel.on('error', () => undefined);
      channel.on('close', () => this.#lose(queue, 'The AMQP server closed the channel for replies'));
      await declareReplyQueue(channel, queue.messageId);
      this.#open.add(queue);
      await channel.consume(queue.messageId, (message) => this.#onMessage(queue, message), {
        consumerTag: '1',
        noAck: false,
        exclusive: false,
      });
      return queue;
    } catch (error) {
      throw new MessageNotDelivered(`No reply queue: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #onMessage(queue: Pooled, message: ConsumeMessage | null): void {
    if (message === null) {
      this.#lose(queue, 'The reply queue was deleted');
      return;
    }
    queue.channel.ack(message);
    if (this.runtime.halted) this.broker.destroy();
    else if (queue.listener === null) this.#dispose(queue);
    else queue.listener.onReply(message.content.toString('utf8'));
  }
}

import type { DaemonParts } from '../daemon.js';
import {
  ApiError,
  DBError,
  Duplicate,
  errorText,
  Invalid,
  NotFound,
  NovaError,
  NoValidHost,
  PythonError,
  WillNotSchedule,
} from '../errors.js';
import { withLogContext, type Logger } from '../log.js';
import type { Manager } from '../manager.js';
import type { Runtime } from '../runtime/runtime.js';
import { underWay } from '../underWay.js';
import { checkArguments } from './arguments.js';
import { failureBody, isPoison, parseRequest, resultBodies, type Poison, type Request } from './envelope.js';
import { failureOf } from './failure.js';
import type { Consumer, IncomingMessage, Transport } from './transport.js';
import type { Delivery, RpcInterface } from './types.js';

/** Errors which say what is wrong with a request, and where nothing is wrong with us. */
const refusals = [ApiError, Duplicate, Invalid, NotFound, NoValidHost, WillNotSchedule];

/** A daemon's consumption of its topic. */
export interface RunningConsumer {
  /** Takes no more messages and waits for running handlers, for at most `graceMs`. What was not begun stays in the queue. */
  stop(graceMs: number): Promise<void>;
}

/** A method found in a manager's table, or its fallback. */
type Handler = (request: Request, delivery: Delivery) => Promise<unknown>;
interface Route {
  readonly run: Handler;
  readonly ack: 'receipt' | 'claim';
}

/**
 * Consumes a topic and has the manager answer. Only methods of the manager's table are reachable. Never throws for
 * what a message holds: poison is logged, acknowledged and answered with a failure where a caller waits.
 * Throws HostAlreadyServed when another daemon serves this host.
 */
export async function serveManager<I extends RpcInterface<I>>(
  parts: Pick<DaemonParts, 'runtime' | 'transport'>,
  topic: string,
  manager: Manager<I>,
): Promise<RunningConsumer> {
  const { runtime, transport } = parts;
  const dispatcher = new Dispatcher(runtime, transport, routes(runtime, topic, manager));
  const consumer = await transport.consume({
    topic,
    host: runtime.host,
    prefetch: runtime.flags.rpc_thread_pool_size,
    onMessage: (message) => dispatcher.take(message),
  });
  return { stop: (graceMs) => dispatcher.stop(consumer, graceMs) };
}

/** Finds the handler of a method. The function it gives throws what Python throws for a method which isn't there. */
function routes<I extends RpcInterface<I>>(
  runtime: Runtime,
  topic: string,
  manager: Manager<I>,
): (method: string) => Route {
  const managerFlag = (runtime.flags as unknown as Readonly<Record<string, unknown>>)[`${topic}_manager`];
  const className = typeof managerFlag === 'string' ? managerFlag.split('.').at(-1) : 'Manager';
  return (method) => {
    if (!Object.hasOwn(manager.methods, method)) {
      const { fallback } = manager;
      if (fallback === undefined) {
        throw new PythonError('AttributeError', `'${className}' object has no attribute '${method}'`);
      }
      return { ack: 'claim', run: (request, delivery) => fallback(request.context, method, request.args, delivery) };
    }
    const name = method as keyof I & string;
    const spec = manager.methods[name];
    return {
      ack: spec.ack ?? 'receipt',
      run: async (request, delivery) => {
        checkArguments(method, spec, request.args);
        // the names of the arguments are checked; their values are the handler's to judge
        return manager.handlers[name](request.context, request.args as Parameters<I[typeof name]>[0], delivery);
      },
    };
  };
}

/** True when the database cannot be reached for now. */
function isOutage(error: unknown): boolean {
  return error instanceof DBError && (error.reason === 'lost' || error.reason === 'conflict');
}

/** Runs handlers side by side, at most rpc_thread_pool_size; further messages wait unacknowledged, up to the prefetch. */
class Dispatcher {
  readonly #log: Logger;
  readonly #waiting: IncomingMessage[] = [];
  #running = 0;
  #stopped = false;
  readonly #stopping = new AbortController();
  #onIdle: (() => void) | null = null;

  constructor(
    private readonly runtime: Runtime,
    private readonly transport: Transport,
    private readonly route: (method: string) => Route,
  ) {
    this.#log = runtime.log.logger('nova.rpc');
  }

  take(message: IncomingMessage): void {
    if (this.#stopped || this.runtime.halted) return;
    if (this.#running < this.runtime.flags.rpc_thread_pool_size) this.#start(message);
    else this.#waiting.push(message);
  }

  async stop(consumer: Consumer, graceMs: number): Promise<void> {
    this.#stopped = true;
    this.#stopping.abort();
    this.#waiting.length = 0;
    await consumer.cancel();
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.runtime.after(graceMs, () => {
        this.#log.warn(`Stopped while ${this.#running} messages were being worked on`);
        resolve();
      });
      this.#onIdle = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  #start(message: IncomingMessage): void {
    this.#running += 1;
    void this.#handle(message).finally(() => {
      this.#running -= 1;
      const next = this.#waiting.shift();
      if (next !== undefined) this.take(next);
      else if (this.#running === 0) this.#onIdle?.();
    });
  }

  /** Works on one message to its end. Never rejects. */
  async #handle(message: IncomingMessage): Promise<void> {
    const parsed = parseRequest(message, this.runtime);
    if (isPoison(parsed)) {
      message.ack();
      await this.#answerPoison(parsed);
      return;
    }
    const what = `message ${parsed.method} (${parsed.context.requestId})`;
    await underWay(this.runtime.clock, what, () => withLogContext(parsed.context, () => this.#work(parsed, message)));
  }

  async #work(request: Request, message: IncomingMessage): Promise<void> {
    let accepted = false;
    const delivery: Delivery = {
      redelivered: message.redelivered,
      accept: () => {
        accepted = true;
        this.#ack(message);
      },
    };
    this.#log.debug(`received ${request.method}${message.redelivered ? ', again' : ''}`);
    if (request.oddities.length > 0) {
      this.#log.warn(`Message ${request.method} with ${request.oddities.slice(0, 12).join(', ')}`);
    }
    let replies: string[];
    try {
      const { run, ack } = this.route(request.method);
      if (ack === 'receipt') delivery.accept();
      replies = resultBodies(
        await this.#patiently(
          request,
          () => accepted,
          () => run(request, delivery),
        ),
      );
    } catch (error) {
      // without an acknowledgement the broker keeps it for whoever comes next
      if (this.#stopped && !accepted && isOutage(error) && request.messageId === null) return;
      this.#logFailure(request, error);
      replies = [failureBody(failureOf(error))];
    }
    delivery.accept();
    await this.#reply(request.messageId, replies);
  }

  /**
   * Runs a handler again, with growing pauses, while the database is away, as long as it has not accepted its message and
   * nobody waits for an answer: for the handler that is a redelivery. Otherwise what the message asks for would be lost.
   */
  async #patiently<T>(request: Request, accepted: () => boolean, run: () => Promise<T>): Promise<T> {
    const { flags } = this.runtime;
    for (let seconds = 1; ; seconds = Math.min(seconds * 2, Math.max(1, flags.sql_retry_interval))) {
      try {
        return await run();
      } catch (error) {
        if (accepted() || this.#stopped || request.messageId !== null || !isOutage(error)) throw error;
        this.#log.warn(`No database for ${request.method}, trying again in ${seconds} seconds: ${errorText(error)}`);
      }
      await this.#pause(seconds * 1000);
    }
  }

  /** Waits, but no longer once the consumption is stopped. */
  async #pause(ms: number): Promise<void> {
    if (this.#stopped) return;
    await this.runtime.sleep(ms, this.#stopping.signal).catch(() => undefined);
  }

  #ack(message: IncomingMessage): void {
    if (!this.runtime.halted) message.ack();
  }

  /**
   * A refusal on purpose is one line for a caller, who gets it as well, and so is what a request asks for that can't be
   * (any more); whatever else went wrong shows its trace.
   */
  #logFailure(request: Request, error: unknown): void {
    if (this.runtime.halted) return;
    if (request.messageId !== null && error instanceof NovaError) {
      this.#log.warn(`Returning exception ${error.name} of ${request.method} to caller: ${errorText(error)}`);
      return;
    }
    const message = `Exception during message handling of ${request.method}: ${errorText(error)}`;
    if (refusals.some((refusal) => error instanceof refusal)) this.#log.error(message);
    else this.#log.error(message, error);
  }

  async #answerPoison(poison: Poison): Promise<void> {
    this.#log.error(`Dropped a message which cannot be read: ${poison.reason}`);
    await this.#reply(poison.messageId, [failureBody(failureOf(new PythonError(poison.pythonClass, poison.reason)))]);
  }

  async #reply(messageId: string | null, bodies: readonly string[]): Promise<void> {
    if (messageId === null || this.runtime.halted) return;
    try {
      await this.transport.reply(messageId, bodies);
    } catch (error) {
      this.#log.warn(`Could not answer ${messageId}: ${errorText(error)}`);
    }
  }
}

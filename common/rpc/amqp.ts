import { MessageNotDelivered, RpcTimeout, type StartupError } from '../errors.js';
import type { Runtime } from '../runtime/runtime.js';
import { BrokerConnection } from './amqp/connection.js';
import { FanoutPublisher } from './amqp/fanout.js';
import { NotificationQueues } from './amqp/notificationQueues.js';
import { Publisher } from './amqp/publisher.js';
import { Replier } from './amqp/replier.js';
import { ReplyQueues, type ReplyQueue } from './amqp/replyQueues.js';
import { TopicConsumer } from './amqp/topicConsumer.js';
import { ReplyGatherer, type ReplyStep } from './replies.js';
import type { Consumer, ConsumeOptions, PublishOptions, Reply, Transport } from './transport.js';

/**
 * The bus on RabbitMQ, as the rabbit_* flags say: one connection, which a Python 2011.3 daemon on the same broker
 * cannot tell from its own kind.
 */
export function amqpTransport(runtime: Runtime): Transport {
  return new AmqpTransport(runtime);
}

class AmqpTransport implements Transport {
  readonly #broker: BrokerConnection;
  readonly #publisher: Publisher;
  readonly #fanout = new FanoutPublisher();
  readonly #replyQueues: ReplyQueues;
  readonly #replier: Replier;
  readonly #notificationQueues: NotificationQueues;
  #givenUp: ((error: StartupError) => void) | null = null;

  constructor(private readonly runtime: Runtime) {
    this.#broker = new BrokerConnection(runtime);
    this.#publisher = new Publisher(runtime, this.#broker);
    this.#replyQueues = new ReplyQueues(runtime, this.#broker);
    this.#replier = new Replier(runtime, this.#broker);
    this.#notificationQueues = new NotificationQueues(runtime);
    const users = [this.#publisher, this.#fanout, this.#replyQueues, this.#replier, this.#notificationQueues];
    for (const user of users) this.#broker.use(user);
  }

  get connected(): boolean {
    return this.#broker.current !== null;
  }

  onGivenUp(listener: (error: StartupError) => void): void {
    this.#givenUp = listener;
  }

  /**
   * Throws StartupError, which names the flag, when the broker refuses user, password or virtual host, has an exchange
   * of the other durability, or could not be reached in rabbit_max_retries attempts.
   */
  connect(): Promise<void> {
    return this.runtime.outside(
      () =>
        new Promise((resolve, reject) => {
          this.#broker.onFatal(reject);
          this.#publisher.ready().then(
            () => {
              this.#broker.onFatal((error) => {
                if (!this.runtime.halted) this.#givenUp?.(error);
              });
              resolve();
            },
            (error: Error) => {
              this.#broker.destroy();
              reject(error);
            },
          );
          this.#broker.start();
        }),
    );
  }

  publish(routingKey: string, body: string, options: PublishOptions): Promise<void> {
    return this.runtime.outside(async () => {
      if (options.keep === true) await this.#notificationQueues.declare(routingKey);
      const confirmed = this.#publisher.publish(routingKey, body, options);
      if (options.confirm) await confirmed;
    });
  }

  publishFanout(topic: string, body: string): Promise<void> {
    return this.runtime.outside(() => this.#fanout.publish(topic, body));
  }

  call(
    routingKey: string,
    body: (messageId: string) => string,
    options: { timeoutMs: number; method: string },
  ): Promise<Reply> {
    return this.runtime.outside(() => this.#call(routingKey, body, options));
  }

  #call(
    routingKey: string,
    body: (messageId: string) => string,
    options: { timeoutMs: number; method: string },
  ): Promise<Reply> {
    return new Promise((resolve, reject) => {
      let queue: ReplyQueue | null = null;
      let handed: { withdraw(): void } | null = null;
      let over = false;
      const end = (rest: (ReplyStep & { kind: 'end' })['rest'], settle: () => void): void => {
        if (over) return;
        over = true;
        timer.cancel();
        handed?.withdraw();
        if (queue !== null) this.#replyQueues.release(queue, rest);
        else wish.withdraw();
        settle();
      };
      const fail = (error: Error): void => end('unsure', () => reject(error));
      const timer = this.runtime.after(options.timeoutMs, () =>
        fail(new RpcTimeout(options.method, routingKey, options.timeoutMs / 1000)),
      );
      const gatherer = new ReplyGatherer();
      const begin = (acquired: ReplyQueue): void => {
        queue = acquired;
        if (over) {
          this.#replyQueues.release(queue, 'clean');
          return;
        }
        queue.listen({
          onReply: (text) => {
            const step = gatherer.accept(text);
            if (step.kind === 'end') end(step.rest, () => resolve(step.reply));
          },
          onLost: (reason) => fail(new MessageNotDelivered(`${options.method} to ${routingKey}: ${reason}`)),
        });
        handed = this.#publisher.ask(routingKey, body(queue.messageId), fail);
      };
      const wish = this.#replyQueues.acquire(options.timeoutMs);
      wish.queue.then(begin).catch(fail);
    });
  }

  reply(messageId: string, bodies: readonly string[]): Promise<void> {
    return this.runtime.outside(() => this.#replier.reply(messageId, bodies));
  }

  consume(options: ConsumeOptions): Promise<Consumer> {
    return this.runtime.outside(async () => {
      const consumer = new TopicConsumer(this.runtime, this.#broker, options);
      await consumer.start();
      return consumer;
    });
  }

  close(graceMs = 0): Promise<void> {
    if (this.runtime.halted) {
      this.#broker.destroy();
      return this.runtime.outside(() => Promise.resolve());
    }
    return this.runtime.outside(async () => {
      const end = this.runtime.clock.now() + graceMs;
      if (graceMs > 0) this.#replier.settle();
      while (this.connected && !(this.#publisher.idle && this.#replier.idle) && this.runtime.clock.now() < end) {
        await this.runtime.sleep(20);
      }
      await this.#broker.close();
    });
  }
}

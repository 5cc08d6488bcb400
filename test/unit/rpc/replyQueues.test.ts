import { expect } from 'chai';
import { MessageNotDelivered } from '../../../common/errors.js';
import { BrokerConnection } from '../../../common/rpc/amqp/connection.js';
import { ReplyQueues, type Wish } from '../../../common/rpc/amqp/replyQueues.js';
import { testRuntime } from '../../support/runtime.js';

/** Reply queues of a broker which is away, and a clock whose timers run when the test says so. */
class Outage {
  readonly queues: ReplyQueues;
  readonly #broker: BrokerConnection;
  readonly #timers = new Map<object, { ms: number; fn: () => void }>();
  readonly #errors: unknown[] = [];

  constructor() {
    const { runtime } = testRuntime();
    const after = (ms: number, fn: () => void): { cancel(): void } => {
      const timer = { cancel: () => void this.#timers.delete(timer) };
      this.#timers.set(timer, { ms, fn });
      return timer;
    };
    Object.assign(runtime, { after });
    this.#broker = new BrokerConnection(runtime);
    this.queues = new ReplyQueues(runtime, this.#broker);
  }

  /** Milliseconds of the timers which run. */
  get timers(): number[] {
    return [...this.#timers.values()].map(({ ms }) => ms);
  }

  ask(count: number, timeoutMs: number): Wish[] {
    return Array.from({ length: count }, () => {
      const wish = this.queues.acquire(timeoutMs);
      wish.queue.catch((error: unknown) => this.#errors.push(error));
      return wish;
    });
  }

  runTimers(): void {
    const due = [...this.#timers.values()];
    this.#timers.clear();
    for (const { fn } of due) fn();
  }

  /** Why wishes came to nothing so far. */
  async refusals(): Promise<unknown[]> {
    await new Promise((resolve) => setImmediate(resolve));
    return this.#errors;
  }

  async end(): Promise<void> {
    this.#broker.destroy();
    await this.refusals();
  }
}

describe('wishes for reply queues', () => {
  it('wait for those in use no longer than a quarter of the call', () => {
    const outage = new Outage();
    outage.ask(100, 1000);
    expect(outage.timers).to.deep.equal([]);
    for (const timeoutMs of [1000, 2000, 60_000]) outage.ask(1, timeoutMs);
    expect(outage.timers).to.deep.equal([250, 500, 2000]);
    outage.runTimers();
    expect(outage.timers).to.deep.equal([]);
  });

  it('are gone when their calls are over, wherever they waited', async () => {
    const outage = new Outage();
    const wishes = outage.ask(1500, 500);
    expect(outage.timers).to.have.length(1400);
    for (const { withdraw } of wishes.splice(200, 100)) withdraw();
    expect(outage.timers).to.have.length(1300);
    outage.runTimers();
    expect(await outage.refusals()).to.have.length(100);
    expect(outage.queues.wishes).to.equal(1400);
    for (const { withdraw } of wishes) withdraw();
    expect(await outage.refusals()).to.have.length(1500);
    expect(outage.queues.wishes).to.equal(0);
    expect(outage.timers).to.deep.equal([]);
  });

  it('take the place of those which came to nothing, and all hear that there will be no connection', async () => {
    const outage = new Outage();
    const wishes = outage.ask(1500, 500);
    outage.runTimers();
    for (const { withdraw } of wishes.slice(0, 1000)) withdraw();
    expect(await outage.refusals()).to.have.length(1000);
    expect(outage.queues.wishes).to.equal(500);
    await outage.end();
    const refusals = await outage.refusals();
    expect(refusals).to.have.length(1500);
    for (const error of refusals) expect(error).to.be.instanceOf(MessageNotDelivered);
    expect(outage.queues.wishes).to.equal(0);
  });
});

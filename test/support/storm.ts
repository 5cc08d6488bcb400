import { setTimeout as pause } from 'node:timers/promises';
import type { Ec2Caller, Ec2Response } from './ec2Client.js';

/** What a storm asks for. */
export interface StormSize {
  /** Instances to start, each by a request of its own. */
  readonly instances: number;
  /** How many of them to terminate, each as soon as its request was accepted. */
  readonly terminations: number;
  /** Volumes to create; every second one is deleted once it is available or broken. */
  readonly volumes: number;
  /** Requests under way at a time. */
  readonly clients: number;
}

/** An answer which no client should have to understand. */
export interface OddAnswer {
  readonly action: string;
  readonly status: number;
  readonly xml: string;
}

/**
 * Many requests at a time, as scripts with patience make them: what is refused with 503, not answered at all, or answered
 * by a database's doubt is asked for again, with the same client token where it makes something.
 */
export class Storm {
  /** EC2 ids of the instances whose requests were accepted, in this order. */
  readonly accepted: string[] = [];
  /** Those of them which were to end. */
  readonly toEnd: string[] = [];
  readonly volumes: string[] = [];
  /** Answers which are neither success nor 503 with Retry-After. */
  readonly odd: OddAnswer[] = [];
  /** Requests which were answered by 503, by nothing, and by doubt. */
  refused = 0;
  unanswered = 0;
  doubtful = 0;
  readonly #jobs: (() => Promise<void>)[] = [];
  readonly #waiters: { count: number; resolve: () => void }[] = [];

  constructor(
    private readonly ec2: Ec2Caller,
    private readonly size: StormSize,
    /** Tells the tokens of one storm from those of another. */
    private readonly name: string,
  ) {
    const every = size.instances / size.terminations;
    for (let index = 0; index < size.instances; index++) {
      const ends = Math.floor((index + 1) / every) > Math.floor(index / every);
      this.#jobs.push(() => this.#instance(index, ends));
      if (index % Math.ceil(size.instances / size.volumes) === 0) this.#jobs.push(() => this.#volume(index));
    }
  }

  /** Resolves when every request has its answer. */
  async run(): Promise<void> {
    await Promise.all(
      Array.from({ length: this.size.clients }, async () => {
        for (let job = this.#jobs.shift(); job !== undefined; job = this.#jobs.shift()) await job();
      }),
    );
  }

  /** Resolves when so many instances were accepted. */
  async until(count: number): Promise<void> {
    if (this.accepted.length >= count) return;
    await new Promise<void>((resolve) => this.#waiters.push({ count, resolve }));
  }

  async #instance(index: number, ends: boolean): Promise<void> {
    const answer = await this.#patiently('RunInstances', {
      ImageId: 'ami-00000001',
      MinCount: '1',
      MaxCount: '1',
      InstanceType: 'm1.tiny',
      ClientToken: `${this.name}-${index}`,
    });
    const [id] = answer.texts('instanceId');
    if (id === undefined) return;
    this.accepted.push(id);
    for (const waiter of this.#waiters) if (this.accepted.length >= waiter.count) waiter.resolve();
    if (!ends) return;
    this.toEnd.push(id);
    await this.#patiently('TerminateInstances', { 'InstanceId.1': id });
  }

  async #volume(index: number): Promise<void> {
    const answer = await this.#patiently('CreateVolume', {
      Size: '1',
      AvailabilityZone: 'nova',
      ClientToken: `${this.name}-volume-${index}`,
    });
    const [id] = answer.texts('volumeId');
    if (id === undefined) return;
    this.volumes.push(id);
    if (this.volumes.length % 2 === 0) this.#jobs.push(() => this.#deleteVolume(id));
  }

  async #deleteVolume(id: string): Promise<void> {
    const answer = await this.#patiently('DescribeVolumes', { 'VolumeId.1': id });
    if (/^(available|error)/.test(answer.texts('status')[0] ?? ''))
      await this.#patiently('DeleteVolume', { VolumeId: id });
    // Not ready yet: after whatever else there is to do.
    else if (this.#jobs.length > 0) this.#jobs.push(() => this.#deleteVolume(id));
  }

  async #patiently(action: string, parameters: Record<string, string>): Promise<Ec2Response> {
    for (;;) {
      const answer = await this.ec2.call(action, parameters).catch(() => undefined);
      if (answer === undefined) this.unanswered += 1;
      else if (answer.status === 503 && answer.retryAfter !== null) this.refused += 1;
      else if (/The database went away before it confirmed/.test(answer.xml)) this.doubtful += 1;
      else {
        // The answer to a termination was lost, and meanwhile the instance is gone.
        const gone = action === 'TerminateInstances' && answer.texts('Code')[0] === 'InvalidInstanceID.NotFound';
        if (answer.status !== 200 && !gone) this.odd.push({ action, status: answer.status, xml: answer.xml });
        return answer;
      }
      await pause(200);
    }
  }
}

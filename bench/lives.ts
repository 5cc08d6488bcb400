import { setTimeout as pause } from 'node:timers/promises';
import { textsOf } from '../simulate/ec2Client.js';
import type { ClientEnvironment } from '../test/support/cloud.js';
import { BenchClient } from './client.js';

const pollMs = 250;
/** How long a step of a life may take. */
const patienceMs = 120_000;
/** Of the errors, how many are told at once. */
const mostSaid = 50;

/** Users of a cloud who each run an instance, do something with it, and end it. Each call has a connection of its own. */
export class Lives {
  #begun = 0;
  #calls = 0;
  readonly #alive = new Set<Promise<void>>();
  readonly #errors: string[] = [];

  constructor(
    private readonly environment: ClientEnvironment,
    private readonly lifeMs: number,
    private readonly say: (line: string) => void,
  ) {}

  get begun(): number {
    return this.#begun;
  }
  get alive(): number {
    return this.#alive.size;
  }
  get calls(): number {
    return this.#calls;
  }
  /** What went wrong so far. */
  get errors(): readonly string[] {
    return this.#errors;
  }

  begin(): void {
    const index = this.#begun++;
    const life: Promise<void> = this.#live(index)
      .catch((error: unknown) => this.#note(error))
      .finally(() => this.#alive.delete(life));
    this.#alive.add(life);
  }

  #note(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.#errors.push(text);
    if (this.#errors.length <= mostSaid) this.say(text.slice(0, 600));
  }

  async ended(): Promise<void> {
    await Promise.all(this.#alive);
  }

  async #live(index: number): Promise<void> {
    const over = performance.now() + this.lifeMs;
    const id = await this.#using((client) => client.runInstances()).then(([first = '']) => first);
    try {
      await this.#reaches(id, 'running');
      await this.#use(index, id);
      await pause(Math.max(0, over - performance.now()));
    } finally {
      await this.#call('TerminateInstances', { 'InstanceId.1': id });
      await this.#reaches(id, 'terminated');
    }
  }

  /** What is done with an instance while it lives, by turns. */
  async #use(index: number, id: string): Promise<void> {
    if (index % 4 === 0) await this.#useAddress(id);
    if (index % 5 === 1) await this.#useVolume(id);
    if (index % 5 === 2) {
      await this.#call('RebootInstances', { 'InstanceId.1': id });
      await this.#reaches(id, 'running');
    }
    if (index % 10 === 3) await this.#call('DescribeInstances');
    if (index % 20 === 7) await this.#useGroup(`group-${index}`);
    if (index % 20 === 9) await this.#useKey(`key-${index}`);
  }

  async #useAddress(id: string): Promise<void> {
    const [PublicIp = ''] = textsOf(await this.#call('AllocateAddress'), 'publicIp');
    await this.#call('AssociateAddress', { PublicIp, InstanceId: id });
    await this.#call('DescribeAddresses');
    await pause(this.lifeMs / 10);
    await this.#call('DisassociateAddress', { PublicIp });
    await this.#call('ReleaseAddress', { PublicIp });
  }

  async #useVolume(id: string): Promise<void> {
    const wish = { Size: '1', AvailabilityZone: 'nova' };
    const [VolumeId = ''] = textsOf(await this.#call('CreateVolume', wish), 'volumeId');
    await this.#volumeReaches(VolumeId, 'available');
    await this.#call('AttachVolume', { VolumeId, InstanceId: id, Device: '/dev/vdc' });
    await this.#volumeReaches(VolumeId, 'in-use');
    await this.#call('DetachVolume', { VolumeId });
    await this.#volumeReaches(VolumeId, 'available');
    await this.#call('DeleteVolume', { VolumeId });
  }

  async #useGroup(GroupName: string): Promise<void> {
    await this.#call('CreateSecurityGroup', { GroupName, GroupDescription: 'churn' });
    const rule = { IpProtocol: 'tcp', FromPort: '22', ToPort: '22', CidrIp: '0.0.0.0/0' };
    await this.#call('AuthorizeSecurityGroupIngress', { GroupName, ...rule });
    await this.#call('DescribeSecurityGroups');
    await this.#call('DeleteSecurityGroup', { GroupName });
  }

  async #useKey(KeyName: string): Promise<void> {
    await this.#call('CreateKeyPair', { KeyName });
    await this.#call('DeleteKeyPair', { KeyName });
  }

  /** Waits for an instance's state; one which the cloud no longer knows is terminated. */
  async #reaches(id: string, wanted: string): Promise<void> {
    await this.#until(`${id} to be ${wanted}`, async () => {
      const xml = await this.#call('DescribeInstances', { 'InstanceId.1': id }).catch((error: unknown) => {
        if (wanted === 'terminated' && String(error).includes('InstanceNotFound')) return '<name>terminated</name>';
        throw error;
      });
      const [state] = textsOf(xml, 'name');
      if (state === 'error' && wanted !== 'terminated') throw new Error(`${id} failed: ${xml}`);
      return state === wanted;
    });
  }

  async #volumeReaches(id: string, wanted: string): Promise<void> {
    await this.#until(`${id} to be ${wanted}`, async () => {
      const [state = ''] = textsOf(await this.#call('DescribeVolumes', { 'VolumeId.1': id }), 'status');
      if (state.startsWith('error')) throw new Error(`${id} failed`);
      return state.startsWith(wanted);
    });
  }

  async #until(what: string, done: () => Promise<boolean>): Promise<void> {
    for (const end = performance.now() + patienceMs; !(await done()); await pause(pollMs)) {
      if (performance.now() > end) throw new Error(`waited ${patienceMs / 1000} s in vain for ${what}`);
    }
  }

  #call(action: string, params: Readonly<Record<string, string>> = {}): Promise<string> {
    return this.#using((client) => client.call(action, params));
  }

  async #using<T>(work: (client: BenchClient) => Promise<T>): Promise<T> {
    this.#calls += 1;
    const client = new BenchClient(this.environment);
    try {
      return await work(client);
    } finally {
      client.close();
    }
  }
}

import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { Breakpoint, type Write } from './breakpoint.js';
import type { ProcessCloud } from './cloud.js';
import { Ec2Caller } from './ec2Client.js';
import { until } from './rabbitmq.js';

/** Of an instance, what tells how its work goes. */
export interface InstanceState {
  vm_state: string;
  task_state: string | null;
  host: string | null;
  deleted: boolean;
}

/** Looks at a cloud of processes from outside: its rows, its fake machines, its API. */
export class CloudWatch {
  readonly ec2: Ec2Caller;

  #client: Client | null = null;

  constructor(readonly cloud: ProcessCloud) {
    this.ec2 = new Ec2Caller(cloud.environment);
  }

  async end(): Promise<void> {
    await this.#client?.end();
  }

  /** The rows of a statement. The session lasts until the server ends it. */
  async rows<R extends object>(sql: string, values: readonly unknown[] = []): Promise<R[]> {
    if (this.#client === null) {
      const client = await this.cloud.server.connect(this.cloud.database);
      client.once('end', () => {
        if (this.#client === client) this.#client = null;
      });
      this.#client = client;
    }
    return (await this.#client.query<R & Record<string, unknown>>(sql, [...values])).rows;
  }

  /** Holds whoever comes to a write. */
  breakpoint(write: Write): Promise<Breakpoint> {
    return Breakpoint.at(this.cloud.server, this.cloud.database, write);
  }

  async state(ec2Id: string): Promise<InstanceState> {
    const [row] = await this.rows<InstanceState>(
      'SELECT vm_state, task_state, host, deleted FROM instances WHERE id = $1',
      [numberOf(ec2Id)],
    );
    return row!;
  }

  /** Waits until nothing works on an instance any more; answers `active`, `stopped`, `error` or `deleted`. */
  async settled(ec2Id: string, wanted?: string, seconds = 60): Promise<string> {
    let last: InstanceState | undefined;
    const find = async (): Promise<string | undefined> => {
      last = await this.state(ec2Id);
      const state = last.deleted ? 'deleted' : last.task_state === null ? last.vm_state : undefined;
      return state !== 'building' && (wanted === undefined || state === wanted) ? state : undefined;
    };
    return until(`${ec2Id} to be ${wanted ?? 'settled'}`, find, seconds).catch((error: Error) => {
      throw new Error(`${error.message}; it is ${JSON.stringify(last)}\n${this.cloud.output().slice(-6000)}`);
    });
  }

  machineFile(ec2Id: string, host = 'cloud1'): string {
    return join(this.cloud.stateFolder, 'fake', host, `instance-${ec2Id.slice(2)}.json`);
  }

  /** How many addresses and interfaces an instance holds. */
  async holdings(ec2Id: string): Promise<{ allocated: number; addresses: number; interfaces: number }> {
    const [counts] = await this.rows<{ allocated: string; addresses: string; interfaces: string }>(
      'SELECT (SELECT COUNT(*) FROM fixed_ips WHERE instance_id = $1) AS addresses, ' +
        '(SELECT COUNT(*) FROM fixed_ips WHERE instance_id = $1 AND allocated) AS allocated, ' +
        '(SELECT COUNT(*) FROM virtual_interfaces WHERE instance_id = $1) AS interfaces',
      [numberOf(ec2Id)],
    );
    const { allocated, addresses, interfaces } = counts!;
    return { allocated: Number(allocated), addresses: Number(addresses), interfaces: Number(interfaces) };
  }

  /**
   * An instance which has settled is whole: running with one address and a machine, or without either and, in error,
   * with a reason which its owner can read. Answers its state.
   */
  async whole(ec2Id: string): Promise<string> {
    const state = await this.settled(ec2Id);
    if (state === 'active') {
      expect(await this.holdings(ec2Id)).to.deep.equal({ allocated: 1, addresses: 1, interfaces: 1 });
      expect(existsSync(this.machineFile(ec2Id)), 'its machine').to.equal(true);
      expect((await this.ec2.instance(ec2Id)).state).to.equal('running');
      return state;
    }
    if (state === 'error') expect((await this.ec2.instance(ec2Id)).reason, 'the reason').to.match(/\w+ \w+/);
    await this.holdsNothing(ec2Id);
    return state;
  }

  async holdsNothing(ec2Id: string): Promise<void> {
    await until(`${ec2Id} to hold nothing`, async () => {
      const { addresses, interfaces } = await this.holdings(ec2Id);
      return addresses === 0 && interfaces === 0 && !existsSync(this.machineFile(ec2Id));
    });
  }

  /** Terminates an instance, and waits until it and all it held are gone. */
  async terminate(ec2Id: string): Promise<void> {
    await this.ec2.done('TerminateInstances', { 'InstanceId.1': ec2Id });
    await this.settled(ec2Id, 'deleted');
    await this.holdsNothing(ec2Id);
  }

  /** Runs an instance to `running` and ends it: the cloud works. */
  async works(): Promise<void> {
    const id = await until('a new instance', () => this.ec2.runInstance().catch(() => undefined));
    expect(await this.settled(id), (await this.ec2.instance(id)).reason).to.equal('active');
    await this.terminate(id);
  }
}

/** The integer of `i-…` and `vol-…`. */
export function numberOf(ec2Id: string): number {
  return parseInt(ec2Id.slice(ec2Id.indexOf('-') + 1), 16);
}

import type { FlagName } from '../../common/flags/flags.js';
import { Cloud } from '../../common/cloud/cloud.js';
import type { InstanceRow, MigrationRow } from '../../common/db/rows.js';
import { newestMigration } from '../../common/db/migrations.js';
import type { Values } from '../../common/db/db.js';
import { userContext, type ComputeWorld, type TestCompute } from './computeWorld.js';
import { delivery } from './fakeRpc.js';

type Flags = Partial<Record<FlagName, unknown>>;

/** Two nova-computes of one world, a running instance on the first, and the rules of the API over the same rows. */
export class ComputePair {
  readonly context = userContext({ isAdmin: true });
  readonly names: readonly [source: string, destination: string];

  private constructor(
    readonly world: ComputeWorld,
    number: number,
    readonly flags: readonly [Flags, Flags],
  ) {
    this.names = [`from${number}`, `to${number}`];
  }

  static async open(world: ComputeWorld, number: number, flags: [Flags, Flags] = [{}, {}]): Promise<ComputePair> {
    const pair = new ComputePair(world, number, flags);
    await pair.restart(0);
    await pair.restart(1);
    return pair;
  }

  get source(): TestCompute {
    return this.world.hosts.get(this.names[0])!;
  }
  get destination(): TestCompute {
    return this.world.hosts.get(this.names[1])!;
  }

  /** A new daemon on the host, which recovers what the last left. */
  restart(which: 0 | 1): Promise<TestCompute> {
    return this.world.compute(this.names[which], this.flags[which]);
  }

  async running(values: Values<'instances'> = {}): Promise<InstanceRow> {
    const id = await this.world.instance({ uuid: this.source.runtime.random.uuid(), ...values });
    await this.source.manager.handlers.run_instance(this.context, { instance_id: id }, delivery());
    await this.world.db.run('DELETE FROM test_states');
    this.world.forgetMessages();
    return this.world.row(id);
  }

  /** As the API and the scheduler leave it; the message to the destination is sent. */
  async resize(instance: InstanceRow, typeId = 5): Promise<Error[]> {
    await this.world.api(instance.id, { vm_state: 'resizing', task_state: 'resize_prep' });
    const args = { instance_id: instance.uuid!, instance_type_id: typeId };
    this.world.sent.push({ kind: 'cast', routingKey: `compute.${this.names[1]}`, method: 'prep_resize', args });
    return this.settle();
  }

  /** Every message on its way arrives. */
  settle(): Promise<Error[]> {
    return this.world.deliverCasts(this.context);
  }

  /** The rules of the API, which speak to these computes. */
  rules(): Cloud {
    return new Cloud({
      runtime: this.source.runtime,
      db: this.world.db,
      rpc: this.world.rpc(),
      images: this.world.images.service(() => 0),
    });
  }

  migration(instance: InstanceRow): Promise<MigrationRow | undefined> {
    return newestMigration(this.world.db, instance.uuid);
  }
}

export const nameOf = ({ id }: Pick<InstanceRow, 'id'>): string => `instance-${id.toString(16).padStart(8, '0')}`;

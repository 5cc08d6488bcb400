import { expect } from 'chai';
import type { Db, Queryable } from '../../../common/db/db.js';
import { createFloatingIps } from '../../../common/db/floatingIps.js';
import type { Delivery } from '../../../common/rpc/types.js';
import { FakeNetworkDriver } from '../../../nova-network/linux/fake.js';
import { FlatManager } from '../../../nova-network/manager/flat.js';
import type { NetworkManager } from '../../../nova-network/manager/networkManager.js';
import { VlanManager } from '../../../nova-network/manager/vlan.js';
import { caller, NetworkFixture } from './fixture.js';

const context = caller({ isAdmin: true });
const delivery: Delivery = { redelivered: false, accept: () => undefined };

/** The database as a daemon sees it which dies before its write number `writes` (from 0): from then on nothing works. */
function mortal(db: Db, writes: number): { db: Db; died: () => boolean } {
  let left = writes;
  const wrap = <T extends Queryable>(target: T): T =>
    new Proxy(target, {
      get(_target, key) {
        const member: unknown = Reflect.get(target, key, target);
        if (typeof member !== 'function') return member;
        return async (...args: unknown[]): Promise<unknown> => {
          const isWrite =
            ['insert', 'insertMany', 'update', 'run'].includes(String(key)) ||
            (key === 'all' && /^(?:INSERT|UPDATE) .* RETURNING /.test(String(args[0])));
          if (left < 0 || (isWrite && left-- === 0)) throw new Error('killed');
          if (key !== 'transaction') return (member as (...given: unknown[]) => unknown).apply(target, args);
          const work = args[0] as (tx: Queryable) => Promise<unknown>;
          return (target as unknown as Db).transaction((tx) => work(wrap(tx)));
        };
      },
    });
  return { db: wrap(db), died: () => left < 0 };
}

describe('nova-network: killed between two writes', () => {
  let cloud: NetworkFixture;
  beforeEach(async () => {
    cloud = await NetworkFixture.start({ auto_assign_floating_ip: true });
    await cloud.network();
    await cloud.network('10.1.0.0/29');
    await createFloatingIps(cloud.db, ['1.2.3.1']);
  });
  afterEach(() => cloud.stop());

  function manager(db: Db = cloud.db, Manager: typeof FlatManager | typeof VlanManager = FlatManager): NetworkManager {
    const { runtime, rpc, images } = cloud.parts;
    const parts = { runtime, db, rpc, images, transport: cloud.bus.transport(runtime) };
    return new Manager(parts, new FakeNetworkDriver(runtime.log.logger('test')));
  }
  const allocate = (by: NetworkManager, id: number): Promise<unknown> => {
    const args = { instance_id: id, project_id: 'demo', host: 'cloud1', instance_type_id: 2, vpn: false };
    return by.handlers.allocate_for_instance(context, args, delivery);
  };
  const deallocate = (by: NetworkManager, id: number): Promise<unknown> =>
    by.handlers.deallocate_for_instance(context, { instance_id: id, project_id: 'demo' }, delivery);
  /** Counts of what an instance holds: [addresses, allocated ones, interfaces, floating addresses of all]. */
  async function held(id: number): Promise<number[]> {
    const count = async (sql: string, params: (number | boolean)[] = [id]): Promise<number> =>
      (await cloud.db.first<{ n: number }>(`SELECT COUNT(*) AS n FROM ${sql}`, params))!.n;
    return [
      await count('fixed_ips WHERE instance_id = ?'),
      await count('fixed_ips WHERE instance_id = ? AND allocated = ? AND virtual_interface_id IS NOT NULL', [id, true]),
      await count('virtual_interfaces WHERE instance_id = ?'),
      await count('floating_ips WHERE project_id IS NOT NULL OR fixed_ip_id IS NOT NULL', []),
    ];
  }
  /** Runs the work with a daemon that dies at its first, second, … write, until one lives; `after` looks at each wreck. */
  async function atEachWrite(
    prepare: () => Promise<number>,
    work: (by: NetworkManager, id: number) => Promise<unknown>,
    after: (id: number) => Promise<void>,
    Manager: typeof FlatManager | typeof VlanManager = FlatManager,
  ): Promise<number> {
    for (let writes = 0; ; writes++) {
      const id = await prepare();
      const daemon = mortal(cloud.db, writes);
      await work(manager(daemon.db, Manager), id).catch(() => undefined);
      await after(id);
      if (!daemon.died()) return writes;
      expect(writes).to.be.lessThan(50);
    }
  }

  it('in an allocation: the next call completes it', async () => {
    const writes = await atEachWrite(
      () => cloud.instance(),
      allocate,
      async (id) => {
        await manager().initHost(context);
        await allocate(manager(), id);
        expect(await held(id)).to.deep.equal([2, 2, 2, 1]);
        await deallocate(manager(), id);
        expect(await held(id)).to.deep.equal([0, 0, 0, 0]);
      },
    );
    expect(writes).to.be.greaterThan(4);
  });

  it('in an allocation whose instance is given up: the start frees all', async () => {
    await atEachWrite(
      () => cloud.instance(),
      allocate,
      async (id) => {
        await cloud.db.update('instances', { deleted: true }, 'id = ?', [id]);
        await manager().initHost(context);
        expect(await held(id)).to.deep.equal([0, 0, 0, 0]);
      },
    );
  });

  it('in a deallocation: a second one, or the next start, completes it', async () => {
    for (const gone of [false, true]) {
      const prepare = async (): Promise<number> => {
        const id = await cloud.instance();
        await allocate(manager(), id);
        return id;
      };
      const writes = await atEachWrite(prepare, deallocate, async (id) => {
        if (gone) await cloud.db.update('instances', { deleted: true }, 'id = ?', [id]);
        await (gone ? manager().initHost(context) : deallocate(manager(), id));
        expect(await held(id)).to.deep.equal([0, 0, 0, 0]);
      });
      expect(writes).to.be.greaterThan(4);
    }
  });

  it('with VLANs: the next call completes it, and what is not in use any more waits for the end of its lease', async () => {
    await cloud.network('10.2.0.0/24', { host: 'cloud1' }, { start: 100, vpnStart: 1000 });
    const healthy = (): NetworkManager => manager(cloud.db, VlanManager);
    const writes = await atEachWrite(
      async () => {
        await cloud.db.update('networks', { project_id: null, vpn_public_address: null }, 'vlan IS NOT NULL');
        return cloud.instance();
      },
      allocate,
      async (id) => {
        await healthy().initHost(context);
        await allocate(healthy(), id);
        expect(await held(id)).to.deep.equal([1, 1, 1, 1]);
        await deallocate(healthy(), id);
        expect(await held(id)).to.deep.equal([1, 0, 0, 0]);
      },
      VlanManager,
    );
    expect(writes).to.be.greaterThan(4);
    const ended = await atEachWrite(
      async () => {
        const id = await cloud.instance();
        await allocate(healthy(), id);
        return id;
      },
      deallocate,
      async (id) => {
        await cloud.db.update('instances', { deleted: true }, 'id = ?', [id]);
        await healthy().initHost(context);
        expect(await held(id)).to.deep.equal([1, 0, 0, 0]);
      },
      VlanManager,
    );
    expect(ended).to.be.greaterThan(1);
  });

  it('removes an address within transactions, which are repeated where a connection is lost', async () => {
    const id = await cloud.instance();
    await allocate(manager(), id);
    const repeating = new Proxy(cloud.db, {
      get(target, key) {
        if (key === 'update') return () => Promise.reject(new Error('a write of its own is not repeated'));
        const member: unknown = Reflect.get(target, key, target);
        return typeof member === 'function' ? (member as () => unknown).bind(target) : member;
      },
    });
    const args = { instance_id: id, address: '10.0.0.2' };
    await manager(repeating).handlers.remove_fixed_ip_from_instance(context, args, delivery);
    expect((await held(id)).slice(0, 2)).to.deep.equal([1, 1]);
  });
});

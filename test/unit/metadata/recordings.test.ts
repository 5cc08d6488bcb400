import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { openDatabase } from '../../../common/db/database.js';
import type { Db } from '../../../common/db/db.js';
import { syncDatabase } from '../../../common/db/sync.js';
import { GuestMetadata } from '../../../common/cloud/metadata.js';
import type { FlagName } from '../../../common/flags/flags.js';
import type { DoorResponse } from '../../../common/http/door.js';
import { ClientAddresses } from '../../../nova-api/ec2/clientAddress.js';
import { isMetadataPath, MetadataDoor, versionList } from '../../../nova-api/metadata/metadataDoor.js';
import { doorRequest } from '../../support/ec2.js';
import { recordings } from '../../support/recordings.js';
import { testRuntime, type MemoryLog } from '../../support/runtime.js';

interface Exchange {
  request: { method: string; target: string; headers: [string, string][] };
  response: { status: number; headers: [string, string][]; body?: string; body_b64?: string };
}

function exchangesOf(name: string): Exchange[] {
  const text = readFileSync(new URL(`http/metadata/${name}.json`, recordings), 'utf8');
  return (JSON.parse(text) as { exchanges: Exchange[] }).exchanges;
}

/** Whoever recorded hid the word `/root`, in paths too. */
const unmasked = (target: string): string =>
  target.replace('block-device-mapping/home/user', 'block-device-mapping/root');

async function opened(
  flags: Partial<Record<FlagName, unknown>> = {},
): Promise<{ door: MetadataDoor; db: Db; log: MemoryLog }> {
  const { runtime, log } = testRuntime({ sql_connection: 'sqlite://', ...flags }, { binary: 'nova-api' });
  const db = openDatabase(runtime);
  await syncDatabase(db);
  return {
    db,
    log,
    door: new MetadataDoor({ runtime, clients: new ClientAddresses(runtime), metadata: new GuestMetadata({ db }) }),
  };
}

interface Guest {
  id: number;
  address: string;
  hostname: string;
  vcpus?: number;
  keyName?: string;
  userData?: Buffer;
  kernel?: string;
  ramdisk?: string;
  reservation?: string;
  project?: string;
}

const publicKey = exchangesOf('paths').find(({ request }) => request.target.endsWith('/openssh-key'))!.response.body!;

async function addGuest(db: Db, guest: Guest): Promise<number> {
  await db.insert('instances', {
    id: guest.id,
    project_id: guest.project ?? 'proj',
    user_id: 'admin',
    image_ref: '3',
    kernel_id: guest.kernel ?? '',
    ramdisk_id: guest.ramdisk ?? '',
    launch_index: 0,
    key_name: guest.keyName ?? null,
    key_data: guest.keyName === undefined ? null : publicKey,
    vm_state: 'active',
    vcpus: guest.vcpus ?? 1,
    hostname: guest.hostname,
    host: 'cloud1',
    instance_type_id: 2,
    user_data: guest.userData?.toString('base64') ?? '',
    reservation_id: guest.reservation ?? 'r-00000000',
  });
  return db.insert('fixed_ips', { address: guest.address, instance_id: guest.id, allocated: true });
}

/** The recorded system's instances, as far as they show up in the recordings. */
async function addRecordedGuests(db: Db): Promise<void> {
  await db.insert('services', {
    host: 'cloud1',
    binary: 'nova-compute',
    topic: 'compute',
    availability_zone: 'nova',
    report_count: 0,
  });
  const type = await db.first<{ id: number }>('SELECT id FROM instance_types WHERE name = ?', ['m1.tiny']);
  expect(type?.id).to.equal(2);
  const peers = exchangesOf('walk-latest-full').find(({ request }) => request.target.endsWith('/mpi/None'))!.response
    .body!;
  const others = peers.split('\n').slice(3).reverse();
  for (const [index, line] of others.entries()) {
    const [address, slots] = line.split(' slots=');
    await addGuest(db, { id: index + 1, address: address!, vcpus: Number(slots), hostname: `server-${index + 1}` });
  }
  const fixedIp = await addGuest(db, {
    id: 39,
    address: '10.0.0.38',
    hostname: 'my-server-1',
    keyName: 'mdkey',
    userData: Buffer.from('#!/bin/sh\necho hello\n'),
    reservation: 'r-1n1yll0w',
  });
  await db.insert('floating_ips', { address: '1.2.3.2', fixed_ip_id: fixedIp, project_id: 'proj' });
  for (const name of ['default', 'mdgrp']) {
    const group = await db.insert('security_groups', { name, description: '', project_id: 'proj', user_id: 'admin' });
    for (const id of name === 'default' ? [39, 40, 41, 42] : [39]) {
      await db.insert('security_group_instance_association', { security_group_id: group, instance_id: id });
    }
  }
  const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  await addGuest(db, { id: 40, address: '10.0.0.39', hostname: 'server-40', userData: everyByte });
  await addGuest(db, { id: 41, address: '10.0.0.40', hostname: 'server-41' });
  await addGuest(db, {
    id: 42,
    address: '10.0.0.41',
    hostname: 'server-42',
    kernel: '1',
    ramdisk: '2',
    userData: Buffer.from('text ☃'),
  });
}

function bytesOf(response: DoorResponse): Buffer {
  return Buffer.from(response.body as string);
}

describe('metadata service: recordings of Nova 2011.3', () => {
  let door: MetadataDoor;
  let db: Db;
  before(async () => {
    ({ door, db } = await opened({ use_forwarded_for: true }));
    await addRecordedGuests(db);
  });
  after(() => db.close());

  async function replay({ request, response }: Exchange): Promise<void> {
    const headers = Object.fromEntries(request.headers.map(([name, value]) => [name.toLowerCase(), value.trim()]));
    const target = unmasked(request.target);
    const path = target.split('?')[0]!.replace(/\/{2,}/g, '/');
    const answer = isMetadataPath(path)
      ? await door.handle(doorRequest({ method: request.method, url: target, headers, remoteAddress: '127.0.0.1' }))
      : versionList;
    const what = `${request.method} ${target}`;
    expect(answer.status, what).to.equal(response.status);
    const recordedType = response.headers.find(([name]) => name === 'Content-Type')![1];
    expect(answer.headers['content-type'], what).to.equal(recordedType);
    const recorded =
      response.body_b64 === undefined ? Buffer.from(response.body ?? '') : Buffer.from(response.body_b64, 'base64');
    if (request.method !== 'HEAD')
      expect(bytesOf(answer).toString('latin1'), what).to.equal(recorded.toString('latin1'));
    else
      expect(bytesOf(answer).length, what).to.equal(
        Number(response.headers.find(([name]) => name === 'Content-Length')![1]),
      );
  }

  for (const name of [
    'walk-latest-full',
    'versions',
    'paths',
    'addresses',
    'instance-binary',
    'instance-kernel',
    'instance-plain',
  ]) {
    it(`answers every exchange of ${name} byte for byte`, async () => {
      for (const exchange of exchangesOf(name)) await replay(exchange);
    });
  }

  it('knows nothing of an instance which is terminated (after-terminate)', async () => {
    await db.update('instances', { deleted: true }, 'id = ?', [41]);
    for (const exchange of exchangesOf('after-terminate')) await replay(exchange);
  });
});

describe('metadata service: who asks', () => {
  const ask = async (door: MetadataDoor, remoteAddress: string | null, forwarded?: string): Promise<string> => {
    const headers: Record<string, string> = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
    const url = '/latest/meta-data/instance-id';
    const answer = await door.handle(doorRequest({ url, headers, remoteAddress }));
    return answer.status === 200 ? String(answer.body) : String(answer.status);
  };

  it('believes the peer alone, unless the operator says that a proxy is in front', async () => {
    const { door, db } = await opened();
    await addGuest(db, { id: 1, address: '10.0.0.2', hostname: 'one' });
    await addGuest(db, { id: 2, address: '10.0.0.3', hostname: 'two', project: 'other' });
    expect(await ask(door, '10.0.0.2')).to.equal('i-00000001');
    expect(await ask(door, '10.0.0.2', '10.0.0.3')).to.equal('i-00000001');
    expect(await ask(door, '192.0.2.1', '10.0.0.3')).to.equal('404');
    expect(await ask(door, '192.0.2.1')).to.equal('404');
    expect(await ask(door, null)).to.equal('404');
    await db.close();
  });

  it('behind a proxy believes what the proxy wrote, not what the client wrote before', async () => {
    const { door, db } = await opened({ use_forwarded_for: true });
    await addGuest(db, { id: 1, address: '10.0.0.2', hostname: 'one' });
    await addGuest(db, { id: 2, address: '10.0.0.3', hostname: 'two' });
    expect(await ask(door, '127.0.0.1', '10.0.0.3, 10.0.0.2')).to.equal('i-00000001');
    expect(await ask(door, '127.0.0.1', "10.0.0.2' OR '1'='1")).to.equal('404');
    await db.close();
  });

  it('believes proxies which the operator names, and no instance', async () => {
    const proxies = { forwarded_for_proxies: ['172.16.0.0/12', '::1'] };
    const { door, db, log } = await opened({ use_forwarded_for: true, ...proxies });
    await addGuest(db, { id: 1, address: '10.0.0.2', hostname: 'one' });
    await addGuest(db, { id: 2, address: '10.0.0.3', hostname: 'two', project: 'other' });
    expect(await ask(door, '172.20.0.1', '10.0.0.3')).to.equal('i-00000002');
    expect(await ask(door, '::1', '10.0.0.3')).to.equal('i-00000002');
    for (const peer of ['10.0.0.2', '10.0.0.2']) expect(await ask(door, peer, '10.0.0.3')).to.equal('i-00000001');
    expect(await ask(door, '127.0.0.1', '10.0.0.3')).to.equal('404');
    expect(await ask(door, null, '10.0.0.3')).to.equal('404');
    expect(log.lines.filter((line) => line.includes('forwarded_for_proxies'))).to.have.length(1);
    await db.close();
    const senseless = testRuntime({ forwarded_for_proxies: ['proxy.example'] }).runtime;
    expect(() => new ClientAddresses(senseless)).to.throw(/^--forwarded_for_proxies: proxy\.example is neither/);
  });

  it('tells an instance whose address was moved to another one nothing of it', async () => {
    const { door, db } = await opened();
    await addGuest(db, { id: 1, address: '10.0.0.2', hostname: 'one' });
    await db.update('fixed_ips', { deleted: true }, 'instance_id = ?', [1]);
    await addGuest(db, { id: 2, address: '10.0.0.2', hostname: 'two' });
    expect(await ask(door, '10.0.0.2')).to.equal('i-00000002');
    await db.update('fixed_ips', { instance_id: null }, 'instance_id = ?', [2]);
    expect(await ask(door, '10.0.0.2')).to.equal('404');
    await db.close();
  });

  it('lists the devices of mapped volumes and ephemeral space', async () => {
    const { door, db } = await opened();
    await addGuest(db, { id: 1, address: '10.0.0.2', hostname: 'one' });
    await db.update('instances', { root_device_name: '/dev/vda' }, 'id = ?', [1]);
    for (const mapping of [
      { device_name: '/dev/vdd', volume_id: 8 },
      { device_name: '/dev/vdc', snapshot_id: 3 },
      { device_name: '/dev/vdb', virtual_name: 'ephemeral1' },
      { device_name: '/dev/vde', no_device: true },
    ]) {
      await db.insert('block_device_mapping', { instance_id: 1, ...mapping });
    }
    const read = async (path: string): Promise<string> => {
      const url = `/latest/meta-data/block-device-mapping/${path}`;
      return String((await door.handle(doorRequest({ url, remoteAddress: '10.0.0.2' }))).body);
    };
    expect(await read('')).to.equal('ami\nroot\nephemeral1\nebs0\nebs1');
    expect(await read('ami')).to.equal('vda');
    expect(await read('ebs0')).to.equal('/dev/vdc');
    expect(await read('ebs1')).to.equal('/dev/vdd');
    await db.close();
  });

  it('answers 404 for names which only look like the tree’s', async () => {
    const { door, db } = await opened();
    await addGuest(db, { id: 1, address: '10.0.0.2', hostname: 'one' });
    for (const url of ['/latest/constructor', '/latest/meta-data/__proto__', '/latest/%ff', '/latest/meta-data/%00']) {
      expect((await door.handle(doorRequest({ url, remoteAddress: '10.0.0.2' }))).status, url).to.equal(404);
    }
    await db.close();
  });

  it('answers 500 in words, not with a stack, when the database is away', async () => {
    const { door, db } = await opened();
    await db.close();
    const answer = await door.handle(doorRequest({ url: '/latest/', remoteAddress: '10.0.0.2' }));
    expect(answer.status).to.equal(500);
    expect(String(answer.body)).to.contain('An unknown error has occurred').and.not.to.contain(' at ');
  });
});

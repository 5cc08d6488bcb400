import { expect } from 'chai';
import { readFileSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { makeNetworks, plainNetwork } from '../../common/cloud/networks.js';
import { openDatabase } from '../../common/db/database.js';
import type { Db } from '../../common/db/db.js';
import { syncDatabase } from '../../common/db/sync.js';
import { amqpTransport } from '../../common/rpc/amqp.js';
import { Party } from '../support/busBehaviour.js';
import { commandOf } from '../support/daemons.js';
import { sharedRabbitMq } from '../support/rabbitmq.js';
import { recordings } from '../support/recordings.js';
import { testRuntime } from '../support/runtime.js';
import { temporaryFolder } from '../support/temporary.js';

interface Message {
  routing_key: string;
  properties: Record<string, unknown>;
  body: Record<string, unknown>;
}

describe('nova-dhcpbridge', function () {
  this.timeout(120_000);
  const folder = temporaryFolder('bridge');

  /** Runs it as dnsmasq does: flags by FLAGFILE, words as arguments. */
  async function run(
    flags: Readonly<Record<string, string | number | boolean>>,
    words: string[],
    env: Record<string, string> = {},
  ): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const file = join(folder, 'bridge.conf');
    writeFileSync(
      file,
      Object.entries(flags)
        .map(([name, value]) => `--${name}=${value}\n`)
        .join(''),
    );
    const [program, ...args] = commandOf('nova-dhcpbridge');
    const child = spawn(program!, [...args, ...words], {
      cwd: '/',
      env: { ...process.env, FLAGFILE: file, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { code, ...output };
  }

  it('tells nova-network of this host what dnsmasq says, as recorded, and prints nothing', async () => {
    const broker = await sharedRabbitMq();
    const vhost = await broker.newVhost();
    const flags = { ...broker.flags(vhost), host: 'cloud1', state_path: folder };
    const party = new Party({ transport: amqpTransport, flags: broker.flags(vhost) });
    await party.server('network', 'cloud1');
    const recording = await broker.recordMessages(vhost);
    for (const action of ['add', 'old', 'del']) {
      const ended = await run(flags, [action, '02:16:3e:0b:18:43', '10.9.0.2', 'server-18']);
      expect(ended).to.include({ code: 0, stdout: '' });
    }
    await recording.stop();
    await party.end();
    const recorded = JSON.parse(readFileSync(new URL('amqp/flows/dhcp_lease.json', recordings), 'utf8')) as Message[];
    const masked = (messages: readonly Message[]): unknown[] =>
      messages.map(({ routing_key, properties, body }) => ({
        routing_key,
        properties,
        body: { ...body, _context_request_id: '', _context_timestamp: '' },
      }));
    expect(masked(recording.messages as Message[])).to.deep.equal(masked(recorded));
  });

  it('ends with an error when nobody would hear of it', async () => {
    const broker = await sharedRabbitMq();
    const flags = { ...broker.flags(await broker.newVhost()), host: 'nobody', state_path: folder };
    const unheard = await run(flags, ['add', '02:16:3e:0b:18:43', '10.9.0.2']);
    expect(unheard).to.include({ code: 1, stdout: '' });
    expect(unheard.stderr).to.contain('network.nobody');
    const away = await run({ ...flags, rabbit_port: 1 }, ['add', '02:16:3e:0b:18:43', '10.9.0.2']);
    expect(away).to.include({ code: 1, stdout: '' });
    const wrong = await run(flags, ['add', '02:16:3e:0b:18:43', '10.9.0.256']);
    expect(wrong).to.include({ code: 1, stdout: '' });
  });

  describe('init', () => {
    let db: Db;
    const sql = `sqlite:///${join(folder, 'nova.sqlite')}`;
    const flags = { sql_connection: sql, host: 'cloud1', state_path: folder, fake_rabbit: true };
    before(async () => {
      const { runtime } = testRuntime({ sql_connection: sql });
      db = openDatabase(runtime);
      await syncDatabase(db);
      await makeNetworks({ db, random: runtime.random }, plainNetwork('public', '10.9.0.0/28'));
    });
    after(() => db.close());

    it('prints the leases which run, and a blank line when there is none', async () => {
      const env = { NETWORK_ID: '1' };
      expect(await run(flags, ['init'], env)).to.deep.equal({ code: 0, stdout: '\n', stderr: '' });
      const guest = async (hostname: string, host: string, address: string, leased: boolean): Promise<void> => {
        const id = await db.insert('instances', { hostname, host, project_id: 'demo' });
        const mac = `02:16:3e:00:00:0${id}`;
        const vif = await db.insert('virtual_interfaces', { address: mac, instance_id: id, network_id: 1 });
        const values = { instance_id: id, virtual_interface_id: vif, allocated: true, leased };
        await db.update('fixed_ips', values, 'address = ?', [address]);
      };
      await guest('server-1', 'cloud1', '10.9.0.2', true);
      await guest('server-2', 'cloud1', '10.9.0.3', false);
      await guest(`a,b\n${'x'.repeat(80)}`, 'cloud2', '10.9.0.4', true);
      const all = await run(flags, ['init'], env);
      expect(all).to.include({ code: 0, stderr: '' });
      expect(all.stdout.replace(/^\d{10} /gm, 'EXPIRY ')).to.equal(
        `EXPIRY 02:16:3e:00:00:01 10.9.0.2 server-1 *\nEXPIRY 02:16:3e:00:00:03 10.9.0.4 ab-${'x'.repeat(60)} *\n`,
      );
      await db.update('networks', { multi_host: true }, 'id = 1');
      expect((await run(flags, ['init'], env)).stdout).to.match(/^\d{10} 02:16:3e:00:00:01 10\.9\.0\.2 server-1 \*\n$/);
    });

    it('works on the rows itself where the bus is inside a process', async () => {
      const leased = async (): Promise<unknown> =>
        (await db.first<{ leased: boolean }>('SELECT leased FROM fixed_ips WHERE address = ?', ['10.9.0.3']))?.leased;
      expect(await run(flags, ['add', '02:16:3e:00:00:02', '10.9.0.3'])).to.include({ code: 0, stdout: '' });
      expect(await leased()).to.equal(true);
      expect(await run(flags, ['del', '02:16:3e:00:00:02', '10.9.0.3'])).to.include({ code: 0, stdout: '' });
      expect(await leased()).to.equal(false);
      expect(await run(flags, ['add', '02:16:3e:00:00:09', '10.9.0.9'])).to.include({ code: 1, stdout: '' });
    });

    it('is refused without NETWORK_ID', async () => {
      const ended = await run(flags, ['init'], { NETWORK_ID: '' });
      expect(ended).to.include({ code: 1, stdout: '' });
      expect(ended.stderr).to.contain("Environment variable 'NETWORK_ID' must be set.");
    });
  });
});

import { expect } from 'chai';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { startEmbeddedCloud, startProcessCloud } from '../support/cloud.js';
import { CloudWatch } from '../support/cloudWatch.js';
import { DaemonProcess } from '../support/daemons.js';
import { Ec2Caller } from '../support/ec2Client.js';
import { postgres } from '../support/postgres.js';
import { RabbitMq, until } from '../support/rabbitmq.js';
import { temporaryFolder } from '../support/temporary.js';

describe('secrets', function () {
  this.timeout(120_000);

  it('are in no output of the daemons, at any level, whatever fails', async () => {
    const broker = await RabbitMq.start();
    await broker.changePassword('hunter2-rabbit');
    const server = await postgres();
    const flags = ['--rabbit_password=hunter2-rabbit', '--fake_fail=spawn', '--default_log_levels=nova=DEBUG'];
    const cloud = await startProcessCloud({ hosts: 1, broker, server, flags });
    const watch = new CloudWatch(cloud);
    try {
      const key = await watch.ec2.done('CreateKeyPair', { KeyName: 'mine' });
      const privateKey = key.texts('keyMaterial')[0]!.replaceAll('&#13;', '');
      expect(privateKey).to.contain('PRIVATE KEY');
      const wrong = new Ec2Caller({ ...cloud.environment, EC2_SECRET_KEY: 'hunter2-wrong' });
      expect((await wrong.call('DescribeInstances')).status).to.be.within(400, 499);

      // The EC2 API cannot ask for a password or files; an OpenStack API beside it can.
      await cloud.daemon('nova-scheduler').stop();
      const userData = Buffer.from('hunter2-user-data').toString('base64');
      const id = (
        await watch.ec2.done('RunInstances', { ImageId: 'ami-00000001', KeyName: 'mine', UserData: userData })
      ).texts('instanceId')[0]!;
      await withSecrets(broker, cloud.vhost);
      await cloud.start('nova-scheduler');
      expect(await watch.settled(id)).to.equal('error');

      // Poison which holds a password, and a database and a broker which fail.
      await poison(broker, cloud.vhost);
      await cloud.daemon('nova-compute').until(/cannot be read|no attribute/);
      const point = await watch.breakpoint({ table: 'instances', event: 'UPDATE' });
      const asked = watch.ec2.call('TerminateInstances', { 'InstanceId.1': id });
      await point.hit();
      await point.drop();
      expect((await asked).xml).not.to.match(/terminating connection|UPDATE instances/);
      await broker.ctl('close_all_connections', '--vhost', cloud.vhost, 'a test');
      await cloud.daemon('nova-compute').until(/Lost the connection/);
      await cloud.stop();

      const secrets = [
        cloud.environment.EC2_SECRET_KEY,
        'hunter2',
        userData,
        'p@ss',
        'p%40ss',
        ...privateKey.split('\n').filter((line) => line.length > 20),
      ];
      for (const secret of secrets)
        expect(cloud.output().includes(secret), `the output holds ${secret}`).to.equal(false);
      expect((cloud.output().match(/\*\*\*/g) ?? []).length, 'masked texts').to.be.above(5);
    } finally {
      await watch.end();
      await cloud.stop();
      broker.stop();
    }
  });

  it('which are given as flags are in no process list', async () => {
    const folder = temporaryFolder('ps');
    const secret = ['--rabbit_password=hunter2-rabbit', '--rabbit_passw', 'hunter2-rabbit'];
    const database = '--sql_connection=postgresql://nova:hunter2-sql@127.0.0.1:1/nova';
    const flags = [...secret, database, '--rabbit_port=1', `--state_path=${folder}`];
    const daemon = new DaemonProcess('nova-scheduler', flags);
    try {
      await daemon.until(/is unreachable|No answer from the database/);
      const shown = readFileSync(`/proc/${daemon.pid}/cmdline`, 'utf8');
      expect(shown).to.contain(
        'nova-scheduler --rabbit_password=*** --rabbit_passw *** --sql_connection=postgresql://***@',
      );
      expect(shown).not.to.contain('hunter2');
    } finally {
      await daemon.kill();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('which are given to a command are in no process list', async () => {
    const folder = temporaryFolder('ps');
    // database and broker in one, which keep everybody waiting
    const silent = createServer((socket) => socket.on('error', () => undefined).resume());
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    const { port } = silent.address() as AddressInfo;
    const plain = ['--rabbit_host=127.0.0.1', `--rabbit_port=${port}`, `--state_path=${folder}`];
    const secret = [
      '--rabbit_password=hunter2',
      '--sql_connection',
      `postgresql://nova:hunter2@127.0.0.1:${port}/nova`,
    ];
    const masked = ['--rabbit_password=***', '--sql_connection', `postgresql://***@127.0.0.1:${port}/nova`];
    const commands = [
      ['nova-manage', 'user create alice hunter2-access hunter2-secret', 'user create alice *** ***'],
      ['nova-manage', 'user admin --sec hunter2-s --access=hunter2-a bob', 'user admin --sec *** --access=*** bob'],
      ['nova-manage', 'us MOD --is T carol hunter2-a hunter2-s', 'us MOD --is T carol *** ***'],
      ['nova-dhcpbridge', 'add 02:16:3e:00:00:01 10.0.0.3', 'add 02:16:3e:00:00:01 10.0.0.3'],
    ] as const;
    try {
      for (const [binary, words, wished] of commands) {
        const arrived = once(silent, 'connection');
        const command = new DaemonProcess(binary, [...plain, ...secret, ...words.split(' ')]);
        try {
          await Promise.race([arrived, ended(command)]);
          const shown = readFileSync(`/proc/${command.pid}/cmdline`, 'utf8');
          expect(shown).to.contain([binary, ...plain, ...masked, wished].join(' '));
          expect(shown).not.to.contain('hunter2');
        } finally {
          await command.kill();
        }
      }
    } finally {
      silent.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('of a cloud in one process are in files of their owner alone', async () => {
    const cloud = await startEmbeddedCloud(['--verbose']);
    try {
      const ec2 = new Ec2Caller(cloud.environment);
      const key = (await ec2.done('CreateKeyPair', { KeyName: 'mine' })).texts('keyMaterial')[0]!.split('\n')[3]!;
      await ec2.runInstance();
      await cloud.manage('user', 'list');
      expect(statSync(cloud.stateFolder).mode & 0o777, 'the state folder').to.equal(0o700);
      const secrets = [cloud.environment.EC2_SECRET_KEY, key];
      const holders = filesBelow(cloud.stateFolder).filter((path) => {
        const text = readFileSync(path, 'latin1');
        return secrets.some((secret) => text.includes(secret));
      });
      const names = holders.map((path) => path.slice(cloud.stateFolder.length + 1));
      expect(names).to.include('novarc');
      expect(names.filter((name) => !/^(novarc|nova\.sqlite(-wal)?)$/.test(name))).to.deep.equal([]);
      const owned = [
        'nova.conf',
        'novarc',
        'novarc.admin',
        ...readdirSync(cloud.stateFolder).filter((name) => name.startsWith('nova.sqlite')),
      ];
      for (const name of owned) expect(statSync(join(cloud.stateFolder, name)).mode & 0o077, name).to.equal(0);
      expect(owned).to.include('nova.sqlite');
    } finally {
      await cloud.stop();
    }
  });
});

/** Throws, with its output, when a command ends. */
async function ended(command: DaemonProcess): Promise<never> {
  await command.ended();
  throw new Error(`${command.binary} ended:\n${command.output}`);
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Puts a password and a file into the run_instance which waits for a scheduler. */
async function withSecrets(broker: RabbitMq, vhost: string): Promise<void> {
  const connection = await broker.connect(vhost);
  const channel = await connection.createConfirmChannel();
  const message = await until('the message', async () => channel.get('scheduler', { noAck: true }));
  const body = JSON.parse(message.content.toString()) as { args: Record<string, unknown> };
  Object.assign(body.args, { admin_password: 'hunter2-admin', injected_files: [['/etc/key', 'hunter2-file']] });
  const options = { contentType: 'application/json', contentEncoding: 'utf-8' };
  channel.publish('nova', 'scheduler', Buffer.from(JSON.stringify(body)), options);
  await channel.waitForConfirms();
  await connection.close();
}

async function poison(broker: RabbitMq, vhost: string): Promise<void> {
  const connection = await broker.connect(vhost);
  const channel = await connection.createConfirmChannel();
  const options = { contentType: 'application/json', contentEncoding: 'utf-8' };
  const bodies = [
    '{"method": "run_instance", "args": {"admin_password": "hunter2-poison"',
    '{"method": "no_such_method", "args": {"admin_password": "hunter2-poison"}, "_context_auth_token": "hunter2-token"}',
    '{"method": "run_instance", "args": {"instance_id": 1, "adminPass": "hunter2-poison", "password": ["hunter2-list"]}}',
  ];
  for (const body of bodies) channel.publish('nova', 'compute.cloud1', Buffer.from(body), options);
  await channel.waitForConfirms();
  await connection.close();
}

import { expect } from 'chai';
import { rmSync } from 'node:fs';
import { runProgramToEnd, spawnDaemon, type DaemonProcess } from '../support/daemons.js';
import { RabbitMq } from '../support/rabbitmq.js';
import { temporaryFolder } from '../support/temporary.js';

describe('a daemon on a broker', function () {
  this.timeout(240_000);
  let broker: RabbitMq;
  let folder: string;
  const running: DaemonProcess[] = [];
  const flags = (...more: string[]): string[] => {
    const { rabbit_host: host, rabbit_port: port } = broker.flags();
    return [`--state_path=${folder}`, '--my_ip=127.0.0.1', `--rabbit_host=${host}`, `--rabbit_port=${port}`, ...more];
  };
  const start = async (...more: string[]): Promise<DaemonProcess> => {
    const daemon = await spawnDaemon('nova-scheduler', flags(...more));
    running.push(daemon);
    return daemon;
  };

  before(async () => {
    broker = await RabbitMq.start();
    folder = temporaryFolder('broker');
    expect((await runProgramToEnd('nova-manage', flags('db', 'sync'))).code).to.equal(0);
  });
  after(() => {
    broker.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  afterEach(async () => {
    for (const daemon of running.splice(0)) if (!daemon.hasEnded) await daemon.kill();
  });

  it('is refused beside one of the same host, and not beside one of another', async () => {
    const first = await start('--host=a');
    const second = await runProgramToEnd('nova-scheduler', flags('--host=a'));
    expect(second.code).to.equal(1);
    expect(second.output)
      .to.match(/^nova-scheduler: .*scheduler\.a/m)
      .and.not.match(/\n {4}at /);
    const other = await start('--host=b');
    expect(await first.stop()).to.deep.equal({ code: 0, signal: null });
    expect(await other.stop()).to.deep.equal({ code: 0, signal: null });
  });

  it('waits for a broker which is away at its start, and serves once it is there', async () => {
    await broker.kill9();
    const daemon = await spawnDaemon('nova-scheduler', flags(), { ready: /AMQP|rabbit|broker/i });
    running.push(daemon);
    expect(daemon.output).not.to.contain(' is ready');
    await broker.start();
    await daemon.until(/ is ready/, 120_000);
    expect(await daemon.stop()).to.deep.equal({ code: 0, signal: null });
  });
});

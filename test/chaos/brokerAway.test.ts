import { expect } from 'chai';
import { startProcessCloud, type ProcessCloud } from '../support/cloud.js';
import { CloudWatch } from '../support/cloudWatch.js';
import { RabbitMq, until } from '../support/rabbitmq.js';

const topics = ['compute', 'network', 'scheduler', 'volume'] as const;
const workers = topics.map((topic) => `nova-${topic}`);

describe('RabbitMQ', function () {
  this.timeout(180_000);
  let broker: RabbitMq;
  let cloud: ProcessCloud;
  let watch: CloudWatch;

  before(async () => {
    broker = await RabbitMq.start();
    const flags = [
      '--report_interval=1',
      '--periodic_interval=1',
      '--rpc_response_timeout=4',
      '--rabbit_retry_backoff=0',
    ];
    cloud = await startProcessCloud({ hosts: 1, broker, flags });
    watch = new CloudWatch(cloud);
  });
  after(async () => {
    await watch?.end();
    await cloud?.stop();
    broker?.stop();
  });

  /** Waits until each worker consumes its topic, its own queue and the fanout, once each. */
  async function consumersAreBack(): Promise<void> {
    await until('all consumers', async () => {
      const queues = await broker.list('queues', cloud.vhost, ['name', 'consumers']);
      const consumed = queues.filter((queue) => queue['consumers'] === 1).map((queue) => String(queue['name']));
      return topics.every(
        (topic) =>
          consumed.includes(topic) &&
          consumed.includes(`${topic}.cloud1`) &&
          consumed.filter((name) => name.startsWith(`${topic}_fanout_`)).length === 1,
      );
    });
  }
  const allAlive = (): void => {
    for (const binary of [...workers, 'nova-api']) expect(cloud.daemon(binary).hasEnded, binary).to.equal(false);
  };

  it('which is restarted: consumers are back, and everything works', async () => {
    await broker.restart();
    await consumersAreBack();
    allAlive();
    await watch.works();
  });

  it('which is killed: answers within time-outs meanwhile, heartbeats go on, and everything works again', async () => {
    const running = await watch.ec2.runInstance();
    await watch.settled(running, 'active');
    await broker.kill9();
    await Promise.all(
      workers.map((binary) => cloud.daemon(binary).until(/Lost the connection to the AMQP server[^]*unreachable/)),
    );

    expect((await watch.ec2.call('DescribeInstances')).status).to.equal(200);
    const [run, address] = await Promise.all([watch.ec2.runInstance(), watch.ec2.call('AllocateAddress')]);
    expect(address.status).to.be.oneOf([400, 503]);
    expect(address.xml)
      .to.match(/<Code>(Unavailable|UnknownError)<\/Code>/)
      .and.not.match(/\n? +at |guest/);
    expect(await watch.whole(run)).to.equal('error');
    const beats = async (): Promise<string> =>
      JSON.stringify(await watch.rows('SELECT id, report_count FROM services ORDER BY id'));
    const before = await beats();
    await until('heartbeats', async () => (await beats()) !== before);
    await cloud
      .daemon('nova-compute')
      .until(/Error during publish_service_capabilities[^]*Error during publish_service_capabilities/);

    await broker.start();
    await consumersAreBack();
    allAlive();
    await watch.terminate(running);
    await watch.terminate(run);
    await watch.works();
  });

  it('which loses messages: an instance which nobody was told of goes to error, one which is to end ends', async () => {
    const running = await watch.ec2.runInstance();
    await watch.settled(running, 'active');
    await Promise.all([cloud.daemon('nova-scheduler').stop(), cloud.daemon('nova-compute').stop()]);
    const lost = await watch.ec2.runInstance();
    await watch.ec2.done('TerminateInstances', { 'InstanceId.1': running });
    await broker.kill9();
    await broker.start();
    await Promise.all([
      cloud.start('nova-scheduler', 'cloud1', ['--scheduling_timeout=2']),
      cloud.start('nova-compute'),
    ]);
    await consumersAreBack();
    expect(await watch.whole(lost)).to.equal('error');
    expect(await watch.whole(running)).to.equal('deleted');
    await watch.terminate(lost);
    await watch.works();
  });

  it('which is away when daemons start: a line for each attempt, and they start by themselves', async () => {
    const binaries = [...workers, 'nova-api'];
    await Promise.all(binaries.map((binary) => cloud.daemon(binary).stop()));
    await broker.shutDown();
    const starting = binaries.map((binary) => cloud.start(binary));
    await Promise.all(
      binaries.map((binary) =>
        cloud.daemon(binary).until(/(AMQP server on \S+ is unreachable: [^\n]*\. Trying again in 1 seconds\.[^]*){2}/),
      ),
    );
    await broker.start();
    await Promise.all(starting);
    await consumersAreBack();
    await watch.works();
  });

  it('which stays away ends a daemon which is not to wait for ever, with a sentence', async () => {
    await cloud.daemon('nova-volume').stop();
    await cloud.start('nova-volume', 'cloud1', ['--rabbit_max_retries=2']);
    const volume = cloud.daemon('nova-volume');
    await broker.shutDown();
    expect(await volume.ended()).to.deep.equal({ code: 1, signal: null });
    expect(volume.output).to.match(
      /nova-volume: The AMQP server on \S+ could not be reached in 2 attempts \(--rabbit_max_retries\)/,
    );
    await broker.start();
    await cloud.start('nova-volume');
    await consumersAreBack();
  });
});

import { expect } from 'chai';
import { type ProcessCloud, startProcessCloud } from '../support/cloud.js';
import { Ec2Caller } from '../support/ec2Client.js';
import { until } from '../support/rabbitmq.js';

const count = 24;

describe('several daemons of each kind on one broker and database', function () {
  this.timeout(180_000);
  let cloud: ProcessCloud;

  before(async () => {
    cloud = await startProcessCloud({
      hosts: 3,
      flags: ['--quota_instances=-1', '--quota_cores=-1', '--quota_ram=-1', '--fake_spawn_ms=20'],
    });
    await Promise.all([
      cloud.start('nova-scheduler', 'cloud2'),
      cloud.start('nova-network', 'cloud2'),
      cloud.start('nova-volume', 'cloud2'),
      cloud.start('nova-api', 'cloud2', ['--enabled_apis=ec2', '--ec2_listen_port=0']),
    ]);
  });
  after(() => cloud?.stop());

  it('share the work: every instance runs, on every host, with an address of its own', async () => {
    const port = /Started ec2 on 127\.0\.0\.1:(\d+)/.exec(cloud.daemon('nova-api', 'cloud2').output)?.[1];
    expect(port).to.be.a('string');
    const clients = [
      new Ec2Caller(cloud.environment),
      new Ec2Caller({ ...cloud.environment, EC2_URL: `http://127.0.0.1:${port}/services/Cloud` }),
    ];
    const wish = { ImageId: 'ami-00000001', MinCount: '1', MaxCount: '1', InstanceType: 'm1.tiny' };
    const answers = await Promise.all(
      Array.from({ length: count }, (_, index) => clients[index % 2]!.call('RunInstances', wish)),
    );
    expect(answers.map((answer) => answer.status)).to.deep.equal(Array(count).fill(200));
    const rows = await until('all instances to run', async () => {
      const found = await cloud.server.query(
        cloud.database,
        "SELECT i.id, i.host, f.address FROM instances i JOIN fixed_ips f ON f.instance_id = i.id WHERE i.vm_state = 'active'",
      );
      return found.length === count && found;
    });
    expect(new Set(rows.map((row) => row['address'])).size).to.equal(count);
    expect(new Set(rows.map((row) => row['host']))).to.deep.equal(new Set(['cloud1', 'cloud2', 'cloud3']));

    const volumes = await Promise.all(
      Array.from({ length: 8 }, () => clients[0]!.call('CreateVolume', { Size: '1', AvailabilityZone: 'nova' })),
    );
    expect(volumes.map((answer) => answer.status)).to.deep.equal(Array(8).fill(200));
    await until('all volumes to be available', async () => {
      const found = await cloud.server.query(
        cloud.database,
        "SELECT DISTINCT host FROM volumes WHERE status = 'available'",
      );
      return found.length === 2;
    });
    for (const binary of ['nova-scheduler', 'nova-network']) {
      for (const host of ['cloud1', 'cloud2']) {
        expect(cloud.daemon(binary, host).output, `${binary} on ${host} had no work`).to.match(
          / received (run_instance|allocate_for_instance)/,
        );
      }
    }
  });
});

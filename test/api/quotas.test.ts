import { expect } from 'chai';
import { type Answer, type ApiCloud, type Caller, startApiCloud, textsOf } from '../support/apiCloud.js';
import { forEachDialect } from '../support/dialects.js';

/** Status and code of each answer, e.g. `200 none`, with how many had it. */
function tally(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, code } of answers) counts[`${status} ${code}`] = (counts[`${status} ${code}`] ?? 0) + 1;
  return counts;
}

forEachDialect((_dialect, freshUrl) => {
  describe('quotas, as users meet them', () => {
    let cloud: ApiCloud;
    let demo: Caller;
    before(async () => {
      cloud = await startApiCloud({
        sql_connection: await freshUrl(),
        quota_instances: 3,
        quota_cores: 100,
        quota_ram: 100_000,
        quota_volumes: 3,
        quota_gigabytes: 10,
        quota_floating_ips: 3,
      });
      demo = cloud.as('demo');
    });
    after(() => cloud.stop());

    const launch = (count: number, fields: Record<string, string | number> = {}): Promise<Answer[]> =>
      Promise.all(
        Array.from({ length: count }, () =>
          demo.call('RunInstances', { ImageId: cloud.image, InstanceType: 'm1.tiny', ...fields }),
        ),
      );
    const quota = (key: string, value: string): Promise<string> =>
      cloud.manage('project', 'quota', 'demo', `--key=${key}`, `--value=${value}`);
    const used = async (): Promise<{ instances: number; cores: number; ram: number }> =>
      (await cloud.db.first(
        'SELECT COUNT(id) AS instances, SUM(vcpus) AS cores, SUM(memory_mb) AS ram FROM instances WHERE deleted = ?',
        [false],
      ))!;
    async function terminateAll(): Promise<void> {
      await cloud.settle();
      const ids = textsOf(await demo.ok('DescribeInstances'), 'instanceId');
      await demo.ok('TerminateInstances', Object.fromEntries(ids.map((id, index) => [`InstanceId.${index + 1}`, id])));
      await cloud.settle();
    }

    it('instances: racing requests get what there is, and no more', async () => {
      expect(tally(await launch(10))).to.deep.equal({ '200 none': 3, '400 InstanceLimitExceeded': 7 });
      expect((await used()).instances).to.equal(3);
      const [refused] = await launch(1);
      expect(refused!.message).to.equal(
        'InstanceLimitExceeded: Instance quota exceeded. You cannot run any more instances of this type.',
      );
      // Another project has a quota of its own.
      expect((await cloud.as('other').call('RunInstances', { ImageId: cloud.image })).status).to.equal(200);
      await terminateAll();
    });

    it('instances: between MinCount and MaxCount as many as there are', async () => {
      const [all] = await launch(1, { MinCount: 1, MaxCount: 7 });
      expect(textsOf(all!, 'instanceId')).to.have.length(3);
      await terminateAll();
      const [refused] = await launch(1, { MinCount: 4, MaxCount: 7 });
      expect(refused!.message).to.include('You can only run 3 more instances of this type.');
    });

    it('instances, cores, ram: nova-manage sets a limit of the project, and lifts it', async () => {
      expect(await quota('instances', '5')).to.include('instances: 5');
      expect(tally(await launch(10))).to.deep.equal({ '200 none': 5, '400 InstanceLimitExceeded': 5 });
      await terminateAll();
      expect(await quota('instances', 'unlimited')).to.include('instances: unlimited');
      await quota('cores', '8');
      // m1.large has 4 cores.
      expect(tally(await launch(6, { InstanceType: 'm1.large' }))).to.include({ '200 none': 2 });
      expect(Number((await used()).cores)).to.equal(9); // and the one of project other
      await terminateAll();
      await quota('cores', 'unlimited');
      await quota('ram', '1535');
      // m1.tiny has 512 MB.
      expect(tally(await launch(6))).to.include({ '200 none': 2 });
      await terminateAll();
      await quota('ram', '-1');
      expect(tally(await launch(12))).to.deep.equal({ '200 none': 12 });
      await terminateAll();
      await quota('instances', '0');
      expect(tally(await launch(3))).to.deep.equal({ '400 InstanceLimitExceeded': 3 });
    });

    it('volumes and gigabytes', async () => {
      const create = (count: number, size: number): Promise<Answer[]> =>
        Promise.all(Array.from({ length: count }, () => demo.call('CreateVolume', { Size: size })));
      const sum = async (): Promise<{ count: number; size: number }> =>
        (await cloud.db.first('SELECT COUNT(id) AS count, SUM(size) AS size FROM volumes WHERE deleted = ?', [false]))!;
      expect(tally(await create(8, 1))).to.deep.equal({ '200 none': 3, '400 QuotaError': 5 });
      expect((await sum()).count).to.equal(3);
      await quota('volumes', '20');
      const answers = await create(6, 3);
      expect(tally(answers)).to.deep.equal({ '200 none': 2, '400 QuotaError': 4 });
      expect(answers.find(({ status }) => status !== 200)!.message).to.equal(
        'Volume quota exceeded. You cannot create a volume of size 3G',
      );
      expect(Number((await sum()).size)).to.equal(9);
      await quota('gigabytes', '20');
      expect(tally(await create(6, 5))).to.deep.equal({ '200 none': 2, '400 QuotaError': 4 });
      expect((await demo.call('CreateVolume', { Size: 2_147_483_647 })).code).to.equal('QuotaError');
    });

    it('floating addresses', async () => {
      const allocate = (count: number): Promise<Answer[]> =>
        Promise.all(Array.from({ length: count }, () => demo.call('AllocateAddress')));
      const answers = await allocate(9);
      expect(tally(answers)).to.deep.equal({ '200 none': 3, '400 AddressLimitExceeded': 6 });
      expect(new Set(answers.flatMap((answer) => textsOf(answer, 'publicIp'))).size).to.equal(3);
      await quota('floating_ips', '5');
      expect(tally(await allocate(6))).to.deep.equal({ '200 none': 2, '400 AddressLimitExceeded': 4 });
      const held = await cloud.db.all('SELECT id FROM floating_ips WHERE project_id = ?', ['demo']);
      expect(held).to.have.length(5);
    });

    it('tags', async () => {
      const volume = textsOf(await demo.ok('DescribeVolumes'), 'volumeId')[0]!;
      await quota('metadata_items', '2');
      const tag = (key: string): Promise<Answer> =>
        demo.call('CreateTags', { 'ResourceId.1': volume, 'Tag.1.Key': key, 'Tag.1.Value': 'v' });
      const answers = await Promise.all(['a', 'b', 'c', 'd', 'e'].map(tag));
      expect(tally(answers)).to.deep.equal({ '200 none': 2, '400 MetadataLimitExceeded': 3 });
    });
  });
});

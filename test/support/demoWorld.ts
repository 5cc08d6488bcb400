import { type Answer, type Caller, textOf, textsOf } from './apiCaller.js';
import { type Belongings, publicKey } from './apiRequests.js';
import { atLast, registerImage, type WalkedCloud } from './walkedCloud.js';

/** Instances and volumes of requests which nobody wants are taken away so many at a time. */
const heap = 50;

/** Makes what demo (or other, in a project of its own) has, and makes anew what a request has used up. */
export class DemoWorld {
  readonly #demo: Caller;
  /** Which are no longer wanted. */
  readonly #instances: string[] = [];
  readonly #volumes: string[] = [];
  readonly #has: Belongings = {
    instance: '',
    stopped: '',
    rescued: '',
    holder: '',
    volume: '',
    attached: '',
    snapshot: '',
    address: '',
    associated: '',
    key: '',
    group: '',
    groupId: '',
    image: '',
    number: 0,
  };

  constructor(
    private readonly cloud: WalkedCloud,
    private readonly owner: 'demo' | 'other' = 'demo',
  ) {
    this.#demo = cloud.as(owner);
    Object.assign(this.#has, { key: `${owner}-key`, group: `web-of-${owner}` });
  }

  /** What there is, with a new number; not looked at. */
  next(): Belongings {
    this.#has.number++;
    return { ...this.#has };
  }

  /** What there is, each in the state which its name promises, and a new number. */
  async renew(): Promise<Belongings> {
    const { cloud } = this;
    const has = this.#has;
    has.number++;
    await cloud.settle();
    const wants: [keyof Belongings, string, () => Promise<string>][] = [
      ['instance', "vm_state = 'active' AND task_state IS NULL AND deleted = ?", () => this.#run()],
      ['holder', "vm_state = 'active' AND task_state IS NULL AND deleted = ?", () => this.#run()],
      ['stopped', "vm_state = 'stopped' AND task_state IS NULL AND deleted = ?", () => this.#stopped()],
      ['rescued', "vm_state = 'rescued' AND task_state IS NULL AND deleted = ?", () => this.#rescued()],
      ['volume', "status = 'available' AND deleted = ?", () => this.#volume()],
      ['snapshot', "status = 'available' AND deleted = ?", () => this.#snapshot()],
    ];
    for (const [name, condition, make] of wants) {
      if (!(await this.#stands(String(has[name]), condition)))
        (has as unknown as Record<string, string>)[name] = await make();
    }
    await this.#attachment();
    await this.#addresses();
    await this.#keyAndGroup();
    await this.#image();
    await cloud.settle();
    return { ...has };
  }

  /**
   * Waits until the workers have done what an accepted request asks for, where the next could come upon it, and takes
   * away what nobody needs, so that nothing runs out.
   */
  async finish(action: string, answer: Answer, has: Belongings): Promise<void> {
    const demo = this.#demo;
    switch (action) {
      case 'RunInstances':
        this.#instances.push(...textsOf(answer, 'instanceId'));
        if (this.#instances.length >= heap) {
          await this.cloud.settle();
          const ids = this.#instances.splice(0).map((id, index) => [`InstanceId.${index + 1}`, id]);
          await demo.ok('TerminateInstances', Object.fromEntries(ids) as Record<string, string>);
          // Until they are gone they count.
          await this.cloud.settle();
        }
        break;
      case 'CreateVolume':
        this.#volumes.push(...textsOf(answer, 'volumeId'));
        if (this.#volumes.length >= heap) {
          await this.cloud.settle();
          await Promise.all(this.#volumes.splice(0).map((id) => demo.call('DeleteVolume', { VolumeId: id })));
        }
        break;
      case 'CreateImage':
        await this.#filled(textOf(answer, 'imageId'));
        break;
      case 'AttachVolume':
        await this.#isAttached(has.volume);
        await demo.ok('DetachVolume', { VolumeId: has.volume });
        await this.#becomes(has.volume, 'available');
        break;
      case 'DetachVolume':
        await this.#becomes(has.attached, 'available');
        break;
      case 'AssociateAddress':
        await atLast('the association', async () => (await this.#floating(has.address))?.fixed_ip_id != null);
        await demo.ok('DisassociateAddress', { PublicIp: has.address });
        break;
      case 'ReleaseAddress':
        await atLast('the release', async () => (await this.#floating(has.address))?.project_id === null);
        break;
    }
  }

  /** Waits for the last write of an attachment: the volume is in use before that. */
  async #isAttached(volume: string): Promise<void> {
    const sql = 'SELECT id FROM block_device_mapping WHERE volume_id = ? AND deleted = ?';
    const written = (): Promise<object | undefined> => this.cloud.db.first(sql, [parseInt(volume.slice(4), 16), false]);
    await atLast(`the attachment of ${volume}`, async () => (await written()) !== undefined);
    await this.#becomes(volume, 'in-use');
  }

  async #becomes(volume: string, status: string): Promise<void> {
    await atLast(`${volume} to be ${status}`, async () => {
      const sql = 'SELECT status FROM volumes WHERE id = ?';
      const row = await this.cloud.db.first<{ status: string }>(sql, [parseInt(volume.slice(4), 16)]);
      return row?.status === status;
    });
  }

  /** Waits until an image of an instance has its bits: no row tells that the instance's host was asked for them. */
  async #filled(imageId: string): Promise<void> {
    const { cloud } = this;
    await atLast(`the bits of ${imageId}`, async () => {
      const image = await cloud.images.show(cloud.adminContext(), String(parseInt(imageId.slice(4), 16)));
      return image.status === 'active';
    });
    await cloud.settle();
  }

  #floating(address: string): Promise<{ fixed_ip_id: number | null; project_id: string | null } | undefined> {
    return this.cloud.db.first('SELECT fixed_ip_id, project_id FROM floating_ips WHERE address = ?', [address]);
  }

  async #stands(id: string, condition: string): Promise<boolean> {
    const [, prefix, hex] = /^(\w+)-([0-9a-f]+)$/.exec(id) ?? [];
    if (prefix === undefined) return false;
    const table = { i: 'instances', vol: 'volumes', snap: 'snapshots' }[prefix]!;
    const sql = `SELECT id FROM ${table} WHERE id = ? AND ${condition}`;
    return (await this.cloud.db.first(sql, [parseInt(hex!, 16), false])) !== undefined;
  }

  async #run(): Promise<string> {
    const run = await this.#demo.ok('RunInstances', { ImageId: this.cloud.image, InstanceType: 'm1.tiny' });
    await this.cloud.settle();
    return textOf(run, 'instanceId');
  }

  async #stopped(): Promise<string> {
    const id = await this.#run();
    await this.#demo.ok('StopInstances', { 'InstanceId.1': id });
    await this.cloud.settle();
    return id;
  }

  async #rescued(): Promise<string> {
    const id = await this.#run();
    await this.cloud.as('admin').ok('RescueInstance', { InstanceId: id });
    await this.cloud.settle();
    return id;
  }

  async #volume(): Promise<string> {
    const made = await this.#demo.ok('CreateVolume', { Size: 1 });
    await this.cloud.settle();
    return textOf(made, 'volumeId');
  }

  async #snapshot(): Promise<string> {
    const made = await this.#demo.ok('CreateSnapshot', { VolumeId: this.#has.volume });
    await this.cloud.settle();
    return textOf(made, 'snapshotId');
  }

  async #attachment(): Promise<void> {
    const { db } = this.cloud;
    const holder = parseInt(this.#has.holder.slice(2), 16);
    const attachedIs = (id: string): Promise<unknown> =>
      db.first('SELECT id FROM volumes WHERE id = ? AND instance_id = ? AND deleted = ?', [
        parseInt(id.slice(4), 16) || 0,
        holder,
        false,
      ]);
    if ((await attachedIs(this.#has.attached)) !== undefined) return;
    this.#has.attached = await this.#volume();
    const wish = { VolumeId: this.#has.attached, InstanceId: this.#has.holder, Device: '/dev/vdb' };
    await this.#demo.ok('AttachVolume', wish);
    await this.#isAttached(this.#has.attached);
  }

  async #addresses(): Promise<void> {
    const allocate = async (): Promise<string> => textOf(await this.#demo.ok('AllocateAddress'), 'publicIp');
    const free = await this.#floating(this.#has.address);
    if (free?.project_id !== this.owner || free.fixed_ip_id !== null) this.#has.address = await allocate();
    const used = await this.#floating(this.#has.associated);
    if (used?.project_id !== this.owner) this.#has.associated = await allocate();
    if (used?.project_id === this.owner && used.fixed_ip_id !== null) return;
    await this.#demo.ok('AssociateAddress', { PublicIp: this.#has.associated, InstanceId: this.#has.holder });
    await atLast('the association', async () => (await this.#floating(this.#has.associated))?.fixed_ip_id != null);
  }

  async #keyAndGroup(): Promise<void> {
    const { db } = this.cloud;
    const key = await db.first('SELECT id FROM key_pairs WHERE user_id = ? AND name = ? AND deleted = ?', [
      this.owner,
      this.#has.key,
      false,
    ]);
    if (key === undefined) await this.#demo.ok('ImportPublicKey', { KeyName: this.#has.key, PublicKey: publicKey });
    const group = await db.first<{ id: number }>(
      'SELECT id FROM security_groups WHERE project_id = ? AND name = ? AND deleted = ?',
      [this.owner, this.#has.group, false],
    );
    if (group === undefined) {
      const made = await this.#demo.ok('CreateSecurityGroup', { GroupName: this.#has.group, GroupDescription: 'web' });
      this.#has.groupId = textOf(made, 'groupId');
    }
    const groupId = parseInt(this.#has.groupId.slice(3), 16);
    const rule = await db.first(
      'SELECT id FROM security_group_rules WHERE parent_group_id = ? AND from_port = ? AND cidr = ? AND deleted = ?',
      [groupId, 22, '10.0.0.0/8', false],
    );
    if (rule !== undefined) return;
    const ssh = { IpProtocol: 'tcp', FromPort: 22, ToPort: 22, CidrIp: '10.0.0.0/8' };
    await this.#demo.ok('AuthorizeSecurityGroupIngress', { GroupName: this.#has.group, ...ssh });
  }

  async #image(): Promise<void> {
    const shown = await this.#demo.call('DescribeImages', { 'ImageId.1': this.#has.image || 'ami-7fffffff' });
    if (shown.status === 200 && shown.xml.includes('<isPublic>false<')) return;
    this.#has.image = await privateImage(this.cloud, this.owner);
  }
}

/** Registers an image which only its project sees. Answers its EC2 id. */
export function privateImage(cloud: WalkedCloud, projectId: string): Promise<string> {
  return registerImage(cloud, { name: `private of ${projectId}`, projectId });
}

import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { freePort } from '../../../nova-all/ports.js';
import {
  accessKeyOf,
  secretKeyOf,
  startApiCloud,
  testUsers,
  textOf,
  textsOf,
  type ApiCloud,
  type UserName,
} from '../../support/apiCloud.js';
import { bundleOf, tarOf, type Bundle } from '../../support/bundle.js';
import { sendS3 } from '../../support/objectstore.js';
import { temporaryFolder } from '../../support/temporary.js';

describe('RegisterImage from a bundle', function () {
  this.timeout(120_000);
  let cloud: ApiCloud;
  let s3Port: number;
  let work: string;
  let cloudKey: KeyObject;
  let uploads = 0;
  const image = Buffer.from('the bits of an image '.repeat(5000));

  before(async () => {
    s3Port = await freePort('127.0.0.1');
    work = temporaryFolder('bundles');
    cloud = await startApiCloud({
      enabled_apis: ['ec2', 'images', 'objectstore'],
      s3_host: '127.0.0.1',
      s3_port: s3Port,
      image_decryption_dir: work,
      bundle_max_size: 4 * 1024 * 1024,
      ca_path: join(work, 'CA'),
    });
    cloudKey = createPublicKey(createPrivateKey(readFileSync(join(work, 'CA', 'private', 'cakey.pem'))));
  });
  after(async () => {
    await cloud.stop();
    rmSync(work, { recursive: true, force: true });
  });

  const keysOf = (user: UserName): { access: string; secret: string } => ({
    access: `${accessKeyOf(user)}:${testUsers[user].project}`,
    secret: secretKeyOf(user),
  });

  /** Uploads a bundle to a bucket of its own; answers the location of its manifest. */
  async function upload(bundle: Bundle, user: UserName = 'demo'): Promise<string> {
    const bucket = `bucket${++uploads}`;
    const as = keysOf(user);
    expect((await sendS3(s3Port, 'PUT', `/${bucket}/`, { as, body: '' })).status).to.equal(200);
    for (const [key, body] of [['img.manifest.xml', Buffer.from(bundle.manifest)] as const, ...bundle.parts]) {
      expect((await sendS3(s3Port, 'PUT', `/${bucket}/${key}`, { as, body })).status).to.equal(200);
    }
    return `${bucket}/img.manifest.xml`;
  }

  async function ended(imageId: string, user: UserName = 'demo'): Promise<string> {
    for (let round = 0; round < 3000; round++) {
      const state = textOf(await cloud.as(user).ok('DescribeImages', { 'ImageId.1': imageId }), 'imageState');
      if (state === 'available' || state.startsWith('failed')) return state;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`${imageId} does not come to an end`);
  }

  async function register(bundle: Bundle, params: Record<string, string> = {}): Promise<{ id: string; state: string }> {
    const answer = await cloud.as('demo').ok('RegisterImage', { ImageLocation: await upload(bundle), ...params });
    const id = textOf(answer, 'imageId');
    return { id, state: await ended(id) };
  }

  async function bitsOf(imageId: string): Promise<Buffer> {
    const id = String(parseInt(imageId.slice(4), 16));
    const stream = await cloud.images.download(cloud.adminContext(), id);
    return Buffer.from(await new Response(stream as never).arrayBuffer());
  }
  /** Folders in which bundles are unpacked. */
  const leftovers = (): string[] => readdirSync(work).filter((name) => name.startsWith('nova-bundle'));

  it('makes an image of an uploaded bundle, which runs', async () => {
    const machine =
      '<architecture>i386</architecture><block_device_mapping><mapping><virtual>ami</virtual><device>sda1</device></mapping>' +
      '<mapping><virtual>root</virtual><device>/dev/sda1</device></mapping>' +
      '<mapping><virtual>swap</virtual><device>sda3</device></mapping></block_device_mapping>';
    const tar = tarOf([{ name: 'img', content: image }]);
    const bundle = bundleOf({ tar, cloudKey, machine, imageSize: image.length, partSize: 1000 });
    const { id, state } = await register(bundle, { Name: 'named', Description: 'from a bundle' });
    expect(id).to.match(/^ami-/);
    expect(state).to.equal('available');
    expect((await bitsOf(id)).equals(image)).to.equal(true);
    const shown = await cloud.as('demo').ok('DescribeImages', { 'ImageId.1': id });
    expect(textOf(shown, 'imageLocation')).to.equal(`bucket${uploads}/img.manifest.xml (named)`);
    expect(textOf(shown, 'architecture')).to.equal('i386');
    expect(textOf(shown, 'isPublic')).to.equal('false');
    expect(textOf(shown, 'imageOwnerId')).to.equal('demo');
    expect(textOf(shown, 'description')).to.equal('from a bundle');
    expect(textsOf(shown, 'virtualName')).to.deep.equal(['swap']);
    expect((await cloud.as('other').call('DescribeImages', { 'ImageId.1': id })).code).to.match(/NotFound/);
    const run = await cloud.as('demo').ok('RunInstances', { ImageId: id });
    await cloud.settle();
    await cloud.as('demo').ok('TerminateInstances', { 'InstanceId.1': textOf(run, 'instanceId') });
    expect(leftovers()).to.deep.equal([]);
  });

  it('makes kernels and ramdisks, and images which name them', async () => {
    const tar = tarOf([{ name: 'vmlinuz', content: image }]);
    const kernel = await register(bundleOf({ tar, cloudKey, machine: '<kernel_id>true</kernel_id>' }));
    expect(kernel.id).to.match(/^aki-/);
    const ramdisk = await register(bundleOf({ tar, cloudKey, machine: '<ramdisk_id>true</ramdisk_id>' }));
    expect(ramdisk.id).to.match(/^ari-/);
    const machine = `<kernel_id>${kernel.id}</kernel_id>`;
    const { id } = await register(bundleOf({ tar, cloudKey, machine }), { RamdiskId: ramdisk.id });
    const shown = await cloud.as('demo').ok('DescribeImages', { 'ImageId.1': id });
    expect(textOf(shown, 'kernelId')).to.equal(kernel.id);
    expect(textOf(shown, 'ramdiskId')).to.equal(ramdisk.id);
  });

  it('unpacks what GNU tar makes of an image with holes and a long name', async () => {
    const name = `${'long-name-'.repeat(15)}.img`;
    const file = openSync(join(work, name), 'w');
    for (const [at, text] of [
      [0, 'start'],
      [300_000, 'middle'],
      [900_000, 'end'],
    ] as const) {
      writeSync(file, text, at);
    }
    ftruncateSync(file, 1_000_000);
    closeSync(file);
    const tar = execFileSync('tar', ['-c', '-S', '--format=gnu', '-C', work, name], { maxBuffer: 1e7 });
    expect(tar.length).to.be.lessThan(500_000);
    const { id, state } = await register(bundleOf({ tar, cloudKey, imageSize: 1_000_000 }));
    expect(state).to.equal('available');
    expect((await bitsOf(id)).equals(readFileSync(join(work, name)))).to.equal(true);
    const posix = execFileSync('tar', ['-c', '--format=posix', '-C', work, name], { maxBuffer: 1e7 });
    expect((await register(bundleOf({ tar: posix, cloudKey }))).state).to.equal('available');
  });

  it('refuses hostile archives, and says in which step', async () => {
    const good = { name: 'img', content: image };
    const strange = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
    const zeros = Buffer.alloc(64 * 1024 * 1024);
    const bundle = (options: Partial<Parameters<typeof bundleOf>[0]>): Bundle =>
      bundleOf({ tar: tarOf([good]), cloudKey, ...options });
    const cases: Record<string, [Bundle, string]> = {
      'encrypted for another cloud': [bundle({ cloudKey: strange }), 'failed_decrypt|failed_untar'],
      'a part of other bytes': [
        bundle({ edit: (text) => text.replace(/(<digest algorithm="SHA1">)[0-9a-f]{40}/, `$1${'0'.repeat(40)}`) }),
        'failed_download',
      ],
      'a size which is not its own': [bundle({ imageSize: 1 }), 'failed_untar'],
      'a part which is not there': [
        bundle({ edit: (text) => text.replace('img.part.00', 'missing') }),
        'failed_download',
      ],
      'a zip bomb': [bundle({ tar: tarOf([{ name: 'img', content: zeros }]) }), 'failed_untar'],
      'a zip bomb in a header': [bundle({ tar: tarOf([{ name: 'x', type: 'L', content: zeros }]) }), 'failed_untar'],
      'no gzip': [bundle({ archive: Buffer.from('not compressed'.repeat(100)) }), 'failed_untar'],
      'no tar': [bundle({ archive: gzipSync(Buffer.alloc(5000, 'x')) }), 'failed_untar'],
      'an empty archive': [bundle({ tar: tarOf([]) }), 'failed_untar'],
      'a cut archive': [bundle({ archive: gzipSync(tarOf([good])).subarray(0, 200) }), 'failed_untar'],
      'a path upwards': [bundle({ tar: tarOf([{ ...good, name: '../../etc/cron.d/evil' }]) }), 'failed_untar'],
      'an absolute path': [bundle({ tar: tarOf([{ ...good, name: '/etc/passwd' }]) }), 'failed_untar'],
      'a symbolic link': [
        bundle({ tar: tarOf([{ name: 'img', type: '2', linkName: '/etc/shadow' }, good]) }),
        'failed_untar',
      ],
      'a hard link': [bundle({ tar: tarOf([{ name: 'img', type: '1', linkName: '/etc/shadow' }]) }), 'failed_untar'],
      'a device': [bundle({ tar: tarOf([{ name: 'sda', type: '4' }]) }), 'failed_untar'],
      'a size beyond its end': [bundle({ tar: tarOf([{ ...good, size: 3_000_000 }]) }), 'failed_untar'],
    };
    for (const [what, [evil, expected]] of Object.entries(cases)) {
      const { id, state } = await register(evil);
      expect(state, what).to.match(new RegExp(`^(${expected})$`));
      const shown = await cloud.as('demo').ok('DescribeImages', { 'ImageId.1': id });
      expect(textOf(shown, 'message'), what).to.have.length.greaterThan(10);
      expect((await cloud.as('demo').call('RunInstances', { ImageId: id })).status, what).to.equal(400);
    }
    expect(leftovers()).to.deep.equal([]);
    expect(cloud.log.lines.filter((line) => /Unexpected|TypeError/.test(line))).to.deep.equal([]);
  });

  it('takes the first file alone of an archive with several', async () => {
    const tar = tarOf([
      { name: './', type: '5' },
      { name: 'img', content: image },
      { name: '../evil', content: Buffer.from('evil') },
    ]);
    const { id, state } = await register(bundleOf({ tar, cloudKey }));
    expect(state).to.equal('available');
    expect((await bitsOf(id)).equals(image)).to.equal(true);
  });

  it('refuses manifests which are none, at once', async () => {
    const before = (await cloud.images.detail(cloud.adminContext())).length;
    const tar = tarOf([{ name: 'img', content: image }]);
    const edits: Record<string, (text: string) => string> = {
      'no XML': () => 'nothing',
      empty: () => '',
      'another document': () => '<html/>',
      entities: (text) =>
        text.replace('?>', '?><!DOCTYPE m [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;">]>').replace('x86_64', '&b;'),
      depth: () => `${'<manifest>'.repeat(5000)}${'</manifest>'.repeat(5000)}`,
      'too many elements': (text) => text.replace('</image>', `${'<part/>'.repeat(60_000)}</image>`),
      'too large': (text) => text.replace('</image>', `${'x'.repeat(5_000_000)}</image>`),
      'a part above the bucket': (text) => text.replace('img.part.00', '../other/img.part.00'),
      'an absolute part': (text) => text.replace('img.part.00', '/etc/passwd'),
      'no parts': (text) => text.replace(/<part index.*<\/part>/, ''),
      'no keys': (text) => text.replace(/<ec2_encrypted_key.*<\/ec2_encrypted_key>/, ''),
      'keys of no hex': (text) => text.replace(/(<ec2_encrypted_iv>)[^<]*/, '$1zz'),
      'a wrong kernel': (text) => text.replace('<architecture>', '<kernel_id>../../x</kernel_id><architecture>'),
    };
    for (const [what, edit] of Object.entries(edits)) {
      const location = await upload(bundleOf({ tar, cloudKey, edit }));
      const answer = await cloud.as('demo').call('RegisterImage', { ImageLocation: location });
      expect(answer.status, `${what}: ${answer.xml}`).to.equal(400);
    }
    for (const location of [
      ...['nobucket/x.manifest.xml', 'nothing', '/', '../x/y', 'a/../b', 'a/./b', 'a/\0', 'x'.repeat(2000)],
      ...['.nova/objects/x', '%2e%2e/x', 'b/%2e%2e/%2e%2e/x', '..%2fx/y', '..\\x\\y', 'b/..\\x', '/b/', '//b/x'],
      ...['b/k?acl', 'b/k#x', 'b/k\r\nX-Injected: yes', '\u2603/\u2603', 'http://127.0.0.1:1/x', '@127.0.0.1:1/x'],
    ]) {
      const answer = await cloud.as('demo').call('RegisterImage', { ImageLocation: location });
      expect(answer.status, location).to.equal(400);
    }
    expect((await cloud.as('demo').call('RegisterImage', {})).code).to.equal('MissingParameter');
    expect((await cloud.images.detail(cloud.adminContext())).length).to.equal(before);
  });

  it('reads bundles with the caller’s keys: another project’s can’t be registered', async () => {
    const tar = tarOf([{ name: 'img', content: image }]);
    const location = await upload(bundleOf({ tar, cloudKey }), 'demo');
    const answer = await cloud.as('other').call('RegisterImage', { ImageLocation: location });
    expect(`${answer.status} ${answer.code}`).to.equal('400 InvalidManifest');
  });

  it('registers an image of a snapshot alone', async () => {
    const volume = textOf(await cloud.as('demo').ok('CreateVolume', { Size: 1, AvailabilityZone: 'nova' }), 'volumeId');
    await cloud.settle();
    const made = await cloud.as('sysadmin').call('CreateSnapshot', { VolumeId: volume });
    const snapshot = textOf(
      made.status === 200 ? made : await cloud.as('admin', 'demo').ok('CreateSnapshot', { VolumeId: volume }),
      'snapshotId',
    );
    await cloud.settle();
    const id = textOf(
      await cloud.as('demo').ok('RegisterImage', {
        Name: 'bfv',
        RootDeviceName: '/dev/vda',
        'BlockDeviceMapping.1.DeviceName': '/dev/vda',
        'BlockDeviceMapping.1.Ebs.SnapshotId': snapshot,
      }),
      'imageId',
    );
    const shown = await cloud.as('demo').ok('DescribeImages', { 'ImageId.1': id });
    expect(textOf(shown, 'imageState')).to.equal('available');
    expect(textOf(shown, 'rootDeviceType')).to.equal('ebs');
    expect(textOf(shown, 'rootDeviceName')).to.equal('/dev/vda');
    expect(textOf(shown, 'snapshotId')).to.equal(snapshot);
    const attribute = await cloud
      .as('demo')
      .ok('DescribeImageAttribute', { ImageId: id, Attribute: 'blockDeviceMapping' });
    expect(textOf(attribute, 'snapshotId')).to.equal(snapshot);
  });

  it('lets owners say more of an image, and nobody else', async () => {
    const tar = tarOf([{ name: 'img', content: image }]);
    const { id } = await register(bundleOf({ tar, cloudKey }));
    const answer = await cloud.as('demo').ok('UpdateImage', { ImageId: id, Name: 'new name', Description: 'more' });
    expect(textOf(answer, 'name')).to.equal('new name');
    expect(textOf(answer, 'imageState')).to.equal('available');
    const shown = await cloud.as('demo').ok('DescribeImages', { 'ImageId.1': id });
    expect([textOf(shown, 'name'), textOf(shown, 'description')]).to.deep.equal(['new name', 'more']);
    expect((await cloud.as('other').call('UpdateImage', { ImageId: id, Name: 'x' })).status).to.equal(400);
    expect((await cloud.as('demo').call('UpdateImage', { ImageId: id, Name: 'x'.repeat(300) })).status).to.equal(400);
    await cloud.as('admin', 'demo').ok('ModifyImageAttribute', {
      ImageId: id,
      Attribute: 'launchPermission',
      OperationType: 'add',
      'UserGroup.1': 'all',
    });
    expect((await cloud.as('other').call('UpdateImage', { ImageId: id, Name: 'x' })).status).to.be.oneOf([
      400, 401, 403,
    ]);
  });
});

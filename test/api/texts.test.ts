import { expect } from 'chai';
import { parseStringPromise } from 'xml2js';
import { type Answer, type ApiCloud, type Caller, startApiCloud, textOf, unlimited } from '../support/apiCloud.js';
import { forEachDialect } from '../support/dialects.js';

const texts: Readonly<Record<string, string>> = {
  'a quote and a comment': `'; DROP TABLE instances; --`,
  markup: `<a b="c">&amp;]]></a>`,
  'letters beyond ASCII': 'naïve 名前 אבג',
  'letters beyond the first plane': 'a \u{1f600} smile',
  lines: 'one\ntwo\tthree',
  'a backslash': 'C:\\new\\table %s ${x}',
};

/** Every text in an answer, as a client's parser sees it. */
async function valuesOf(answer: Answer): Promise<string[]> {
  const walk = (value: unknown): string[] =>
    typeof value === 'string'
      ? [value]
      : typeof value === 'object' && value !== null
        ? Object.values(value).flatMap(walk)
        : [];
  return walk(await parseStringPromise(answer.xml, { normalize: false, trim: false }));
}

forEachDialect((_dialect, freshUrl) => {
  describe('texts which users choose', () => {
    let cloud: ApiCloud;
    let demo: Caller;
    before(async () => {
      cloud = await startApiCloud({ sql_connection: await freshUrl(), ...unlimited });
      demo = cloud.as('demo');
    });
    after(() => cloud.stop());

    for (const [what, text] of Object.entries(texts)) {
      it(`${what}: kept and shown as they are`, async () => {
        const volume = textOf(
          await demo.ok('CreateVolume', { Size: 1, DisplayName: text, DisplayDescription: text }),
          'volumeId',
        );
        const run = { ImageId: cloud.image, InstanceType: 'm1.tiny', DisplayName: text, DisplayDescription: text };
        const instance = textOf(await demo.ok('RunInstances', run), 'instanceId');
        await demo.ok('CreateTags', { 'ResourceId.1': instance, 'Tag.1.Key': text, 'Tag.1.Value': text });
        const group = { GroupName: `group ${Object.keys(texts).indexOf(what)}`, GroupDescription: text };
        await demo.ok('CreateSecurityGroup', group);
        const shown = [
          await demo.ok('DescribeVolumes', { 'VolumeId.1': volume }),
          await demo.ok('DescribeInstances', { 'InstanceId.1': instance }),
          await demo.ok('DescribeTags', { 'Filter.1.Name': 'key', 'Filter.1.Value.1': text.replace(/\\/g, '\\\\') }),
          await demo.ok('DescribeSecurityGroups', { 'GroupName.1': group.GroupName }),
        ];
        for (const answer of shown) expect(await valuesOf(answer), answer.xml).to.include(text);
        // No row keeps what it is about from being found.
        expect((await demo.ok('DescribeInstances')).xml).to.include(instance);
      });
    }

    it('too long for their columns: refused, and nothing is made', async () => {
      await cloud.settle();
      const before = await cloud.contents();
      const long = 'é'.repeat(256);
      const calls: [string, Record<string, string>][] = [
        ['CreateVolume', { Size: '1', DisplayName: long }],
        ['CreateVolume', { Size: '1', DisplayDescription: long }],
        ['RunInstances', { ImageId: cloud.image, DisplayName: long }],
        ['RunInstances', { ImageId: cloud.image, DisplayDescription: long }],
        ['RunInstances', { ImageId: cloud.image, 'Placement.AvailabilityZone': long }],
        ['RunInstances', { ImageId: cloud.image, UserData: 'a'.repeat(65_536) }],
        ['RunInstances', { ImageId: cloud.image, ClientToken: 't'.repeat(65) }],
        ['RunInstances', { ImageId: cloud.image, KeyName: long }],
        ['CreateSecurityGroup', { GroupName: 'long', GroupDescription: long }],
        ['CreateKeyPair', { KeyName: long }],
        ['CreateTags', { 'ResourceId.1': 'i-00000001', 'Tag.1.Key': long }],
        ['CreateTags', { 'ResourceId.1': 'i-00000001', 'Tag.1.Key': 'k', 'Tag.1.Value': long }],
        ['AttachVolume', { VolumeId: 'vol-00000001', InstanceId: 'i-00000001', Device: `/dev/vd${'b'.repeat(256)}` }],
        ['ReleaseAddress', { PublicIp: long }],
      ];
      for (const [action, params] of calls) {
        const answer = await demo.call(action, params);
        expect([answer.status, answer.code], `${action} ${answer.xml.slice(0, 300)}`)
          .to.include(400)
          .and.not.include('UnknownError');
      }
      expect(await cloud.contents()).to.deep.equal(before);
    });
  });
});

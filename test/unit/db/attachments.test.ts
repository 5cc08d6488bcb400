import { expect } from 'chai';
import { recordAttachment, recordDetachment } from '../../../common/db/attachments.js';
import { openDatabase } from '../../../common/db/database.js';
import { Turns } from '../../../common/db/turns.js';
import { within } from '../../support/simulatedCloud.js';

describe('an attachment', () => {
  for (const how of ['lost before', 'lost after'] as const) {
    it(`is noted, and ended, also when the database goes away as it commits: ${how}`, () =>
      within(async (cloud) => {
        const { runtime, dialect } = cloud.daemons.get('nova-volume@cloud1')!.life!;
        const db = openDatabase(runtime, { serialize: true, turns: new Turns(), sql: dialect });
        const attached = { status: 'in-use', attach_status: 'attached', instance_id: 7, deleted: false };
        const volumeId = await db.insert('volumes', attached);
        dialect.trouble(0, how, 1, true);
        await recordAttachment(db, 7, volumeId, '/dev/vdb');
        const live = 'SELECT volume_id FROM block_device_mapping WHERE deleted = ?';
        expect(await cloud.db.all(live, [false])).to.deep.equal([{ volume_id: volumeId }]);
        dialect.trouble(0, how, 1, true);
        await recordDetachment(db, 7, volumeId);
        const rows = await cloud.db.all('SELECT status, instance_id FROM volumes');
        expect(rows).to.deep.equal([{ status: 'available', instance_id: null }]);
        expect(await cloud.db.all('SELECT id FROM block_device_mapping WHERE deleted = ?', [false])).to.deep.equal([]);
      }));
  }
});

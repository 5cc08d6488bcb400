import { runProgram } from '../common/program.js';
import { notifyReady } from '../common/service/systemd.js';
import { startObjectstore } from './start.js';

await runProgram({
  usage: { binary: 'nova-objectstore', summary: 'Keeps buckets of objects and serves them over the S3 API.' },
  async start({ runtime }) {
    const db =
      runtime.flags.s3_auth === 'noauth' ? null : (await import('../common/db/database.js')).openDatabase(runtime);
    if (db !== null) {
      await db.connect();
      await (await import('../common/db/sync.js')).requireSchema(db);
    }
    const daemon = await startObjectstore({ runtime, db });
    runtime.log.logger('nova.service').info('nova-objectstore is ready');
    await notifyReady(runtime, 'ready');
    return {
      async stop() {
        await daemon.stop();
        await db?.close();
      },
    };
  },
});

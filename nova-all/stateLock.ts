import { join } from 'node:path';
import { lockFile, type FileLock } from '../common/db/fileLock.js';
import { StartupError } from '../common/errors.js';
import { realFiles } from '../common/runtime/real.js';

/**
 * Makes the state folder and takes it for this process. Throws StartupError which names the process that has it; one
 * that died, however, holds nothing.
 */
export async function lockState(statePath: string): Promise<FileLock> {
  // keys and the database are in it
  await realFiles.makeFolder(statePath, 0o700);
  const pidFile = join(statePath, 'nova-all.pid');
  const lock = await lockFile(join(statePath, 'nova-all.lock'));
  if (lock === null) {
    const pid = await realFiles.read(pidFile).catch(() => '');
    const who = pid.trim() === '' ? 'another nova-all' : `nova-all with process id ${pid.trim()}`;
    throw new StartupError(
      `The cloud of ${statePath} runs already: ${who} has it; stop that one, or choose another --state_path`,
    );
  }
  await realFiles.writeAtomic(pidFile, `${process.pid}\n`);
  return {
    release: async () => {
      await realFiles.remove(pidFile);
      await lock.release();
    },
  };
}

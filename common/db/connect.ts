import { DBError, StartupError } from '../errors.js';
import type { Runtime } from '../runtime/runtime.js';

/**
 * Tries until the database answers: after 1, 2, 4 … seconds, at most sql_retry_interval, and with sql_max_retries > 0
 * that many times. One log line an attempt. Throws StartupError where trying again can't help (anything but a server
 * which doesn't answer and a locked file: wrong password, no such database, a file which can't be used) or the tries are used up; `shown` is the URL without its password.
 */
export async function connectPatiently(runtime: Runtime, shown: string, attempt: () => Promise<void>): Promise<void> {
  const log = runtime.log.logger('nova.db');
  const most = runtime.flags.sql_max_retries;
  for (let count = 1; ; count += 1) {
    try {
      await attempt();
      if (count > 1) log.info(`The database ${shown} answers`);
      return;
    } catch (error) {
      if (!(error instanceof DBError)) throw error;
      const sentence = `the database of --sql_connection, ${shown}, can't be used: ${error.message}`;
      const passes = error.reason === 'lost' || error.reason === 'conflict';
      if (!passes || (most > 0 && count >= most)) throw new StartupError(sentence);
      const seconds = Math.max(0.1, Math.min(2 ** Math.min(count - 1, 20), runtime.flags.sql_retry_interval));
      log.warn(`No answer from the database ${shown}: ${error.message}; trying again in ${seconds} s`);
      await runtime.sleep(seconds * 1000);
    }
  }
}

import { addIndexes } from '../../common/db/indexes.js';
import { purgeDeleted } from '../../common/db/purge.js';
import { schemaVersion, syncDatabase } from '../../common/db/sync.js';
import type { Category, Command } from '../command.js';
import { json, printOrJson, shown } from '../command.js';

const sync: Command = {
  summary: 'Sync the database up to the most recent version.',
  arguments: [{ name: 'version', option: '--version', help: 'Database version' }],
  async run(environment, values) {
    const wished = values['version'];
    if (wished !== undefined && wished !== '46') {
      environment.print(`Only version 46, that of Nova 2011.3, can be made; --version=${wished} is refused.`);
      return 1;
    }
    await syncDatabase(await environment.rawDatabase());
    return 0;
  },
};

const version: Command = {
  summary: 'Print the current database version.',
  arguments: [json],
  async run(environment, values) {
    const found = await schemaVersion(await environment.rawDatabase());
    printOrJson(environment, values, { version: found }, () => environment.print(shown(found)));
  },
};

const index: Command = {
  summary: 'Add our secondary indexes and ext_ tables to an existing database; what is there stays.',
  arguments: [],
  async run(environment) {
    const added = await addIndexes(await environment.database());
    added.forEach((name) => environment.print(`added ${name}`));
    if (added.length === 0) environment.print('everything is there');
  },
};

const purge: Command = {
  summary: 'Remove rows which were deleted long ago from the database.',
  arguments: [
    { name: 'days', option: '--older-than', required: true, help: 'Days since the deletion' },
    { name: 'batch', option: '--batch', help: 'Rows per transaction (1000)' },
  ],
  async run(environment, values) {
    const days = Number(values['days']);
    const batch = Number(values['batch'] ?? 1000);
    if (!(days >= 0) || !Number.isInteger(batch) || batch < 1) {
      environment.print('--older-than must be a number of days, --batch a positive integer');
      return 1;
    }
    const counts = await purgeDeleted(await environment.database(), { olderThanDays: days, batch });
    for (const [table, count] of Object.entries(counts)) if (count > 0) environment.print(`${table}: ${count}`);
    const sum = Object.values(counts).reduce((total, count) => total + count, 0);
    environment.print(`${sum} rows removed`);
    return 0;
  },
};

/** `nova-manage db`: sync and version of nova 2011.3, index and purge of our own. */
export const db: Category = { commands: { sync, version, index, purge } };

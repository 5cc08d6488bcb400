import { join } from 'node:path';
import type { DialectName } from '../../common/db/db.js';
import { mariadb } from './mariadb.js';
import { postgres } from './postgres.js';
import { temporaryFolder } from './temporary.js';

const freshUrls: Readonly<Record<DialectName, () => Promise<string>>> = {
  sqlite: async () => `sqlite:///${join(temporaryFolder('sqlite'), 'nova.sqlite')}`,
  postgresql: async () => (await postgres()).freshDatabase(),
  mysql: async () => (await mariadb()).freshDatabase(),
};

/** Describes the same tests on each dialect; `freshUrl` answers the URL of a new, empty database. */
export function forEachDialect(define: (dialect: DialectName, freshUrl: () => Promise<string>) => void): void {
  for (const dialect of ['sqlite', 'postgresql', 'mysql'] as const) {
    describe(`on ${dialect}`, function () {
      this.timeout(120_000);
      define(dialect, freshUrls[dialect]);
    });
  }
}

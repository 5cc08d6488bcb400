import type { Db, Queryable } from '../../common/db/db.js';

/** What reads or writes. */
const statements: readonly (keyof Queryable)[] = ['all', 'first', 'run', 'insert', 'insertMany', 'update'];

function counted<T extends Queryable>(target: T, sqls: string[]): T {
  return new Proxy(target, {
    get(object, name) {
      const value: unknown = Reflect.get(object, name);
      if (typeof value !== 'function') return value;
      const method = value.bind(object) as (...args: unknown[]) => unknown;
      if (name === 'transaction') {
        return (work: (tx: Queryable) => unknown) => method((tx: Queryable) => work(counted(tx, sqls)));
      }
      if (!statements.includes(name as keyof Queryable)) return method;
      return (...args: unknown[]) => {
        sqls.push(`${name as string} ${String(args[0])}`);
        return method(...args);
      };
    },
  });
}

/** A database which notes every statement that is sent to it, within transactions, too. */
export function countingDb(db: Db): { db: Db; sqls: string[] } {
  const sqls: string[] = [];
  return { db: counted(db, sqls), sqls };
}

import { expect } from 'chai';
import { parseStringPromise } from 'xml2js';
import { novaTables, ownTables } from '../../common/db/schema.js';
import type { Answer } from './apiCaller.js';
import type { WalkedCloud } from './walkedCloud.js';

/** Unavailable where no console proxy runs. */
export const consoles: ReadonlySet<string> = new Set(['GetAjaxConsole', 'GetVncConsole']);

/** What an answer of ours never holds: where the code is, what it said to the database, what the machine said. */
const insides =
  /\bat (?:[\w.<>]+ )?\(?(?:file:|node:|\/)|node_modules|SQLITE|ECONN|ENOENT|SELECT |INSERT |UPDATE |undefined|\[object/;

/** Throws unless the answer is one which the contract knows. */
export async function checkForm(answer: Answer, what: string): Promise<void> {
  const shown = `${what}: ${answer.status} ${answer.xml.slice(0, 600)}`;
  expect(answer.contentType, shown).to.equal('text/xml');
  const document = (await parseStringPromise(answer.xml)) as Record<string, Record<string, unknown[]>>;
  if (answer.status === 200) {
    expect(Object.keys(document)[0], shown).to.match(/Response$/);
    return;
  }
  if (answer.status === 503) {
    expect(
      [...consoles].some((action) => what.startsWith(action)),
      shown,
    ).to.equal(true);
    expect(answer.message, shown).to.match(/^No console proxy takes the messages of topic \w+\./);
  } else expect(answer.status, shown).to.be.within(400, 499);
  expect(Object.keys(document), shown).to.deep.equal(['Response']);
  const { Errors: [errors] = [], RequestID: [id] = [] } = document['Response']!;
  const [error] = (errors as { Error: Record<string, string[]>[] }).Error;
  expect(Object.keys(error!), shown).to.deep.equal(['Code', 'Message']);
  expect(error!['Code']![0], shown)
    .to.match(/^[A-Z][A-Za-z0-9]+(\.[A-Z][A-Za-z]+)?$/)
    .and.not.equal('UnknownError');
  expect(error!['Message']![0]!.length, shown).to.be.within(1, 1000);
  expect(error!['Message']![0], shown).not.to.match(insides);
  expect(id, shown).to.match(/^[0-9a-f-]{36}$/);
}

/** Throws when a text is longer than its column: SQLite keeps it, PostgreSQL and MySQL would not. */
export async function checkLengths({ db }: WalkedCloud, what: string): Promise<void> {
  if (db.dialect !== 'sqlite') return;
  for (const table of [...novaTables, ...ownTables]) {
    const bounded = table.columns.filter((column) => column.kind === 'string');
    if (bounded.length === 0) continue;
    const conditions = bounded.map((column) => `LENGTH("${column.name}") > ${column.length ?? 255}`).join(' OR ');
    const longer = await db.first(`SELECT * FROM "${table.name}" WHERE ${conditions}`);
    expect(longer, `${what}: too long for ${table.name}`).to.equal(undefined);
  }
}

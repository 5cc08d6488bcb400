import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../../common/projectRoot.js';

/** A section of docs/deviations.md which has a table of faults. */
interface Section {
  readonly title: string;
  /** `1–19` gives the numbers of its rows, `R` the letter in front of them. */
  readonly range: string;
  readonly rows: readonly Row[];
}

interface Row {
  readonly number: string;
  readonly fault: string;
  readonly state: string;
  readonly how: string;
  readonly test: string;
}

const text = readFileSync(join(projectRoot(), 'docs', 'deviations.md'), 'utf8');

function rowOf(line: string): Row {
  const [number = '', fault = '', state = '', how = '', test = '', ...rest] = line
    .replace(/^\| | \|$/g, '')
    .split(/ \| ?/)
    .map((cell) => cell.trim());
  if (rest.length > 0) throw new Error(`too many cells: ${line}`);
  return { number, fault, state, how, test };
}

/** The sections with a range in parentheses at the end of their title. */
function sections(): Section[] {
  return text
    .split(/^## /m)
    .slice(1)
    .flatMap((part) => {
      const [title = '', ...lines] = part.split('\n');
      const range = /\((\d+–\d+|[A-Z])\)$/.exec(title)?.[1];
      if (range === undefined) return [];
      const rows = lines.filter((line) => line.startsWith('| ') && !line.startsWith('| # |'));
      return [{ title, range, rows: rows.map(rowOf) }];
    });
}

/** The numbers which a section is to have, in their order. */
function numbers({ range, rows }: Section): string[] {
  const [first, last] = range.split('–').map(Number) as [number, number?];
  if (last === undefined) return rows.map((_, index) => `${range}${index + 1}`);
  return Array.from({ length: last - first + 1 }, (_, index) => String(first + index));
}

/** The tests which a cell names: `file`: title. */
function testsIn(cell: string): { file: string; title: string }[] {
  return cell.split('<br>').map((one) => {
    const [, file, title] = /^`(test\/[\w/]+(?:\.test|Behaviour)\.ts)`: (\S.+)$/.exec(one.trim()) ?? [];
    if (file === undefined || title === undefined) throw new Error(`not \`test/….test.ts\`: title: ${one}`);
    return { file, title };
  });
}

const titles = new Map<string, readonly string[]>();

/** The titles of a file's tests as they are written there, and the texts in tables of which some titles are made. */
function titlesOf(file: string): readonly string[] {
  const known = titles.get(file);
  if (known !== undefined) return known;
  const code = readFileSync(join(projectRoot(), file), 'utf8')
    .split('\n')
    .filter((line) => !/^\s*(\/\/|\/?\*)/.test(line));
  const texts = code.flatMap((line) => [...line.matchAll(/(['"`])((?:\\.|(?!\1).)*)\1/g)]);
  const found = texts.map(([, , text]) => text!.replaceAll(/\\(['"`])/g, '$1'));
  titles.set(file, found);
  return found;
}

describe('docs/deviations.md', () => {
  const all = sections();

  it('has every fault once, in order', () => {
    const found = all.flatMap(({ rows }) => rows.map(({ number }) => number));
    const numbered = found.filter((number) => /^\d+$/.test(number));
    expect(numbered).to.deep.equal(Array.from({ length: 122 }, (_, index) => String(index + 1)));
    for (const section of all) {
      expect(section.rows, section.title).not.to.deep.equal([]);
      expect(
        section.rows.map(({ number }) => number),
        section.title,
      ).to.deep.equal(numbers(section));
    }
  });

  for (const { title, rows } of all) {
    it(`says of each what is done about it: ${title}`, () => {
      for (const row of rows) {
        const where = `row ${row.number}`;
        expect(row.state, where).to.be.oneOf(['mended', 'kept', 'open']);
        expect(row.fault, where).to.match(/\w{2}/);
        expect(row.how, where).to.match(/\w{2}/);
        if (row.state !== 'open') expect(row.test, where).to.not.equal('');
      }
    });

    it(`names tests which are there: ${title}`, () => {
      const missing = rows
        .filter(({ test }) => test !== '')
        .flatMap((row) => testsIn(row.test).map((test) => ({ row, ...test })))
        .filter(({ file, title: words }) => !titlesOf(file).some((title) => title.includes(words)))
        .map(({ row, file, title: words }) => `row ${row.number}: ${file}: ${words}`);
      expect(missing).to.deep.equal([]);
    });
  }
});

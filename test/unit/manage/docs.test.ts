import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../../common/projectRoot.js';
import { categories } from '../../../nova-manage/categories/index.js';

/** The rows of the table of commands, as they follow from the code. */
function rows(): string[] {
  const seen = new Set<unknown>();
  return Object.entries(categories).flatMap(([category, { commands }]) => {
    if (seen.has(commands)) return [];
    seen.add(commands);
    const names = Object.keys(categories).filter((name) => categories[name]!.commands === commands);
    return Object.keys(commands)
      .sort()
      .map((action) => {
        const command = commands[action]!;
        const slots = command.arguments.filter((argument) => !argument.isSwitch);
        const given = slots.map(({ name, required }) => (required ? name : `[${name}]`)).join(' ');
        const second = names.filter((name) => name !== category).map((name) => ` (also \`${name}\`)`);
        return `| \`${category}\`${second.join('')} | \`${action}\` | ${given} | ${command.summary.replaceAll('|', '\\|')} |`;
      });
  });
}

describe('docs/manage.md', () => {
  it('has every category and command with its arguments and what it does, and no other', () => {
    const text = readFileSync(join(projectRoot(), 'docs', 'manage.md'), 'utf8');
    const table = text.split('\n').filter((line) => /^\| `/.test(line) && line.split(' | ').length >= 4);
    expect(table).to.deep.equal(rows());
  });
});

import { expect } from 'chai';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../../common/projectRoot.js';
import { absentActions } from '../../../nova-api/ec2/absent.js';
import type { Ec2Action } from '../../../nova-api/ec2/action.js';
import { adminActions } from '../../../nova-api/ec2/admin.js';
import { cloudActions } from '../../../nova-api/ec2/index.js';
import type { ParamShape } from '../../../nova-api/ec2/params.js';
import { authorizationDocument, readAuthorizationTable } from '../../support/authorizationTable.js';

/** What many actions have, by the word which stands for it. */
const common: Readonly<Record<string, readonly string[]>> = {
  Filter: ['filters'],
  MaxResults: ['pages'],
  NextToken: [],
};

/** A parameter as the documentation writes it: `Size`, `ImageId!` when it is required, `InstanceId.N`. */
function written(name: string, shape: ParamShape): string[] {
  const mark = shape.required === true ? '!' : '';
  if (Object.hasOwn(common, name)) return [...common[name]!];
  if ('kind' in shape) return [`${name}${mark}`];
  if ('element' in shape) return written(`${name}.N`, { ...shape.element, ...(shape.required && { required: true }) });
  return Object.entries(shape.members).flatMap(([member, inner]) => written(`${name}.${member}`, inner));
}

function rowOf(name: string, { roles, params }: Ec2Action): string {
  const who = roles === 'all' ? 'everybody' : roles.length === 0 ? 'administrators' : roles.join(', ');
  const parameters = Object.entries(params).flatMap(([param, { shape }]) => written(param, shape));
  return `| ${name} | ${who} | ${parameters.map((each) => (each === 'filters' || each === 'pages' ? each : `\`${each}\``)).join(', ')} |`;
}

describe('docs/ec2.md', () => {
  const text = readFileSync(join(projectRoot(), 'docs', 'ec2.md'), 'utf8');
  const [cloudText, adminText] = text.split('### At /services/Admin') as [string, string];
  const rowsOf = (part: string): string[] =>
    part
      .split('\n')
      .filter((line) => /^\| [A-Z]\w+ \| (everybody|administrators|netadmin|projectmanager)/.test(line))
      .sort();

  it('has the actions of the server with their roles and parameters, and no others', () => {
    const present = [...cloudActions()].filter(([name]) => !Object.hasOwn(absentActions, name));
    expect(rowsOf(cloudText)).to.deep.equal(present.map(([name, action]) => rowOf(name, action)).sort());
    const admin = [...adminActions()].map(([name, action]) => rowOf(name, action));
    expect(rowsOf(adminText)).to.deep.equal(admin.sort());
  });

  it('names the actions for which this cloud has nothing', () => {
    const missing = Object.keys(absentActions).filter((name) => !new RegExp(`\\b${name}\\b`).test(text));
    expect(missing).to.deep.equal([]);
  });
});

describe('docs/authorization.md', () => {
  it('is what the table of tests says', () => {
    const path = join(projectRoot(), 'docs', 'authorization.md');
    const document = authorizationDocument(readAuthorizationTable());
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(path, document);
    expect(readFileSync(path, 'utf8')).to.equal(document);
  });
});

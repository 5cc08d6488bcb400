import { readFileSync } from 'node:fs';
import { absentActions } from '../../nova-api/ec2/absent.js';
import { recordings } from './recordings.js';

export const namespaces = ['Cloud', 'Admin'] as const;
export type Namespace = (typeof namespaces)[number];

/** Who gets what, as test/recordings/ec2-authorization.json has it: `200`, or status and code of the error. */
export interface AuthorizationTable {
  /** By caller, the same for every action. */
  readonly always: Readonly<Record<string, string>>;
  /** The callers whose answer depends on the action. */
  readonly columns: readonly string[];
  /** By action, an answer for each of the columns; one for all where they are equal. */
  readonly actions: Readonly<Record<Namespace, Readonly<Record<string, string | readonly string[]>>>>;
}

export function readAuthorizationTable(): AuthorizationTable {
  return JSON.parse(readFileSync(new URL('ec2-authorization.json', recordings), 'utf8')) as AuthorizationTable;
}

/** What each caller gets of an action. Throws for an action without a row. */
export function answersOf(table: AuthorizationTable, namespace: Namespace, action: string): Record<string, string> {
  const row = table.actions[namespace][action];
  if (row === undefined) throw new Error(`test/recordings/ec2-authorization.json has no row for ${action}`);
  const answers = table.columns.map((name, at): [string, string] => [name, typeof row === 'string' ? row : row[at]!]);
  return { ...table.always, ...Object.fromEntries(answers) };
}

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
const rule = (cells: readonly string[]): string => `|${cells.map(() => '---').join('|')}|`;
const cell = (answer: string): string =>
  answer === '200' ? 'yes' : answer === '401 UnauthorizedOperation' ? '-' : `\`${answer}\``;

const introduction = `# Who may call what

Generated from \`test/recordings/ec2-authorization.json\`, with which \`test/api/authorization.test.ts\` compares the embedded cloud, and five processes on RabbitMQ and PostgreSQL: every action, called by everybody below, the rows of the database and the images before and after the refusals of each, and the logs. \`UPDATE_DOCS=1 npm run test:unit\` writes it anew.

Every request is about what user \`demo\` of project \`demo\` has; who calls:
`;

/** Who the callers are. */
const callers: Readonly<Record<string, string>> = {
  'no credentials': 'nobody: no key, no signature',
  'wrong signature': "demo's access key, with another secret",
  'expired Timestamp': 'version 2, signed an hour ago, where `--ec2_timestamp_window` is 900',
  'expired Expires': "version 2, whose own end is over; the flag doesn't matter",
  'expired X-Amz-Date': 'version 4, signed an hour ago, where `--ec2_timestamp_window` is 900',
  'expired X-Amz-Expires': "version 4 in the query, whose own end is over; the flag doesn't matter",
  'unknown key': 'an access key which nobody has',
  'no project': "demo's key, for a project which doesn't exist",
  'not a member': 'a user who is no member of the project',
  'without roles': 'a member of project `demo` without any role',
  'roles globally': 'a member who has developer, netadmin and sysadmin globally, and not in the project',
  'roles in project': 'a member who has them in the project, and not globally',
  developer: 'a member with that role, globally and in the project',
  netadmin: 'the same',
  sysadmin: 'the same',
  projectmanager: "the project's manager, who has no role",
  itsec: 'a user with that global role: an administrator',
  cloudadmin: 'a user with that global role: an administrator',
  'other project': 'netadmin, sysadmin and manager of another project, about what is demo’s',
  administrator: 'a user with `is_admin`, in another project',
};

/** docs/authorization.md. */
export function authorizationDocument(table: AuthorizationTable): string {
  const lines = [introduction, line(['caller', 'who']), rule(['', ''])];
  for (const name of [...Object.keys(table.always), ...table.columns]) lines.push(line([name, callers[name] ?? '?']));
  lines.push('', 'These get the same answer of every action:', '', line(['caller', 'answer']), rule(['', '']));
  for (const [name, answer] of Object.entries(table.always)) lines.push(line([name, cell(answer)]));
  lines.push('', '`yes` is 200, `-` is 401 with the code `UnauthorizedOperation`; other answers are written out.');
  for (const namespace of namespaces) {
    lines.push('', `## /services/${namespace}`, '', line(['Action', ...table.columns]), rule(['', ...table.columns]));
    for (const [action, row] of Object.entries(table.actions[namespace])) {
      if (namespace === 'Cloud' && Object.hasOwn(absentActions, action)) continue;
      lines.push(line([action, ...table.columns.map((_, at) => cell(typeof row === 'string' ? row : row[at]!))]));
    }
  }
  const absent = Object.entries(table.actions.Cloud).filter(([action]) => Object.hasOwn(absentActions, action));
  lines.push('', '## What this cloud has nothing for', '', 'Everybody who is known gets the same:', '');
  const answers = new Map<string, string[]>();
  for (const [action, row] of absent) {
    const answer = typeof row === 'string' ? cell(row) : row.map(cell).join(', ');
    answers.set(answer, [...(answers.get(answer) ?? []), action]);
  }
  for (const [answer, actions] of answers) lines.push(`- ${answer}: ${actions.join(', ')}`);
  return `${lines.join('\n')}\n`;
}

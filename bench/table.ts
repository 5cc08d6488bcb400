import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../common/projectRoot.js';
import { passes, type Figure } from './figure.js';

/** The table's head: where and how it was measured, and what a hypervisor took meanwhile; no names of hosts. */
export function head(flags: readonly string[], stolen: string): string[] {
  const [cpu] = cpus();
  return [
    `Date: ${new Date().toISOString().slice(0, 10)}. Machine: ${cpus().length} cores (${cpu?.model ?? 'unknown'}), ` +
      `${Math.round(totalmem() / 1024 ** 3)} GiB, Linux ${release()}, Node.js ${process.versions.node}.`,
    '',
    `Of the CPU time which was wanted the hypervisor gave to others: ${stolen}.`,
    '',
    `Flags: \`${flags.join(' ')}\``,
    '',
    `Limits which the executables set: ${['nova-api', 'nova-compute', 'nova-all'].map(limitsOf).join('; ')}`,
  ];
}

/** A program's heap limits, from its first line; the other workers have those of nova-compute. */
function limitsOf(program: string): string {
  const [first = ''] = readFileSync(join(projectRoot(), 'bin', program), 'utf8').split('\n');
  return `${program} \`${first.split(' ').slice(3).join(' ')}\``;
}

/** The figures as a table in Markdown, which is readable in a terminal as well. */
export function table(figures: readonly Figure[]): string[] {
  const rows = [
    ['figure', 'measured', 'target', 'libraries alone', ''],
    ...figures.map((figure) => [
      figure.what,
      shown(figure.measured, figure.unit),
      target(figure),
      raw(figure),
      verdict(figure),
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(rows[0]!), rule, ...rows.slice(1).map(line)];
}

function shown(value: number, unit: string): string {
  return `${value >= 100 ? Math.round(value) : Number(value.toPrecision(3))}${unit}`;
}

function target({ least, most, unit }: Figure): string {
  if (least !== undefined) return `≥ ${least}${unit}`;
  return most === undefined ? '' : `≤ ${most}${unit}`;
}

function raw(figure: Figure): string {
  return [figure.raw, figure.note].filter((text) => text !== undefined).join('; ');
}

function verdict(figure: Figure): string {
  const passed = passes(figure);
  return passed === null ? '' : passed ? 'pass' : 'FAIL';
}

import { readFileSync } from 'node:fs';
import { recordings } from '../support/recordings.js';

/** One exchange of a client with a live Nova 2011.3; test/recordings/README.md says how they were made. */
export interface Exchange {
  /** The recorded command or call, with `#N` where it made several requests. */
  readonly name: string;
  /** Seconds after the first exchange of the folder. */
  readonly at: number;
  /** Of the recorded listener: 8773 (EC2, metadata) when absent, 3333 (objectstore), 8783 (EC2 without authentication). */
  readonly port?: number;
  readonly method: string;
  readonly target: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly body64?: string;
  /** The exchange, as `folder/name`, whose answer stands for this one: the original refused signature version 4. */
  readonly like?: string;
  /**
   * Not recorded, or not to be compared: it makes what the exchanges after it need. Either a request like the recorded
   * ones, or an action's `params`.
   */
  readonly setup?: true;
  /** Who calls, in a setup with `params`. */
  readonly as?: string;
  readonly params?: Readonly<Record<string, string>>;
  /** The recorded ids of what a setup makes. */
  readonly makes?: readonly string[];
  /** Instead of a request: takes away all that the exchanges before it made, so that a request finds what it found before. */
  readonly afresh?: true;
  readonly status?: number;
  readonly type?: string;
  readonly answer?: string;
  readonly answer64?: string;
  readonly etag?: string;
}

/** What was recorded, in the order in which it is replayed: first the objectstore, which begins without buckets. */
export const folders = [
  'objectstore',
  'admin',
  'awscli',
  'boto-1.9b',
  'boto-2.0',
  'boto-2.49.0-v2',
  'boto-2.49.0-v4',
  'boto3',
  'euca2ools-1.3.1',
  'euca2ools-2.1.4',
  'euca2ools-3.4.1',
  'fog-aws',
  'libcloud-eucalyptus',
  'parameters',
  'metadata',
] as const;
export type Folder = (typeof folders)[number];

const read = new Map<string, readonly Exchange[]>();

/** The exchanges of a folder in their order. */
export function exchangesOf(folder: string): readonly Exchange[] {
  let exchanges = read.get(folder);
  if (exchanges === undefined) {
    const text = readFileSync(new URL(`http/replay/${folder}.jsonl`, recordings), 'utf8');
    exchanges = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Exchange);
    read.set(folder, exchanges);
  }
  return exchanges;
}

/** The names of all exchanges which were recorded of a folder: what is compared must be these. */
export function recordedNames(folder: Folder): string[] {
  const text = readFileSync(new URL('http/recorded.json', recordings), 'utf8');
  const counts = (JSON.parse(text) as Record<Folder, Readonly<Record<string, number>>>)[folder];
  return Object.entries(counts).flatMap(([name, count]) =>
    count === 1 ? [name] : Array.from({ length: count }, (_, index) => `${name}#${index}`),
  );
}

/** The exchange whose answer an exchange's answer is compared with: itself, or the one it is `like`. */
export function answered(exchange: Exchange): Exchange {
  if (exchange.status !== undefined) return exchange;
  const [folder = '', name] = exchange.like?.split('/') ?? [];
  const like = exchangesOf(folder).find((other) => other.name === name);
  if (like === undefined) throw new Error(`${exchange.name} is like ${exchange.like ?? 'nothing'}, which there isn't`);
  return like;
}

/** The request's body as it was sent. */
export function bodyOf({ body, body64 }: Pick<Exchange, 'body' | 'body64'>): Buffer {
  return body64 === undefined ? Buffer.from(body ?? '') : Buffer.from(body64, 'base64');
}

/** The parameters of query and form body; of a name which comes twice the last value. */
export function paramsOf(exchange: Pick<Exchange, 'target' | 'headers' | 'body'>): Map<string, string> {
  const query = new URLSearchParams(exchange.target.split('?')[1] ?? '');
  const isForm = (exchange.headers['content-type'] ?? '').includes('x-www-form-urlencoded');
  const form = new URLSearchParams(isForm ? (exchange.body ?? '') : '');
  return new Map([...query, ...form]);
}

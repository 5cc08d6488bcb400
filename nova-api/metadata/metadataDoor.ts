import {
  LabelledFolder,
  type GuestMetadata,
  type MetadataFolder,
  type MetadataNode,
} from '../../common/cloud/metadata.js';
import { errorText } from '../../common/errors.js';
import type { DoorRequest, DoorResponse, HttpDoor } from '../../common/http/door.js';
import { decodedPath } from '../../common/http/target.js';
import type { Logger } from '../../common/log.js';
import type { Runtime } from '../../common/runtime/runtime.js';
import { printable } from '../ec2/accessLog.js';
import type { ClientAddresses } from '../ec2/clientAddress.js';

/** The versions of the tree, which are all the same one; `latest` is not listed. */
const versions = [
  '1.0',
  '2007-01-19',
  '2007-03-01',
  '2007-08-29',
  '2007-10-10',
  '2007-12-15',
  '2008-02-01',
  '2008-09-01',
  '2009-04-04',
];

const html = { 'content-type': 'text/html; charset=UTF-8' };
const plain = { 'content-type': 'text/plain; charset=UTF-8' };

/** What is answered at every path which nothing else has: the list of versions. */
export const versionList: DoorResponse = {
  status: 200,
  headers: html,
  body: versions.map((version) => `${version}\n`).join(''),
};

/** Whether a decoded path, whose runs of `/` are one, leads into the tree. */
export function isMetadataPath(path: string): boolean {
  return ['latest', ...versions].includes(path.split('/')[1] ?? '');
}

/**
 * The metadata service (nova 2011.3, nova/api/ec2/metadatarequesthandler.py): an instance reads about itself, and is
 * known by the address which it calls from. Every method reads.
 */
export class MetadataDoor implements HttpDoor {
  readonly #clients: ClientAddresses;
  readonly #metadata: GuestMetadata;
  readonly #logger: Logger;

  constructor(parts: {
    readonly runtime: Pick<Runtime, 'log'>;
    readonly clients: ClientAddresses;
    readonly metadata: GuestMetadata;
  }) {
    this.#clients = parts.clients;
    this.#metadata = parts.metadata;
    this.#logger = parts.runtime.log.logger('nova.api.ec2.metadata');
  }

  async handle(request: DoorRequest): Promise<DoorResponse> {
    const address = this.#clients.of(request);
    try {
      const tree = address === null ? null : await this.#metadata.treeAt(address);
      if (tree === null) {
        this.#logger.info(`No instance has the address ${printable(address ?? '-', 60)}, which asked for metadata`);
        return notFound;
      }
      const node = await find(tree, pathOf(request.url).slice(1));
      return node === null ? notFound : { status: 200, headers: html, body: render(node) };
    } catch (error) {
      this.#logger.error(`Failed to get metadata for ip ${printable(address ?? '-', 60)}: ${errorText(error)}`, error);
      const text = 'An unknown error has occurred. Please try your request again.';
      return { status: 500, headers: plain, body: `500 Internal Server Error\n\n${text}\n\n   ` };
    }
  }
}

const notFound: DoorResponse = {
  status: 404,
  headers: plain,
  body: '404 Not Found\n\nThe resource could not be found.\n\n   ',
};

/** The components of a request target's path, decoded; empty ones don't count. */
const pathOf = (target: string): string[] =>
  decodedPath(target)
    .split('/')
    .filter((part) => part !== '');

type FoundNode = Exclude<MetadataNode, () => unknown>;

/** The node at a path; one which goes on below a value ends at the value. Null when there is none. */
async function find(tree: MetadataFolder, path: readonly string[]): Promise<FoundNode | null> {
  let node: FoundNode = tree;
  for (const name of path) {
    if (!(node instanceof Map)) break;
    const next = node.get(name);
    if (next === undefined) return null;
    node = typeof next === 'function' ? await next() : next;
  }
  return node;
}

function render(node: FoundNode): string | Buffer {
  if (typeof node === 'string' || Buffer.isBuffer(node)) return node;
  if (!(node instanceof Map)) return node.join('\n');
  const labels = node instanceof LabelledFolder ? node.labels : new Map<string, string>();
  const names: string[] = [];
  for (const [name, child] of node) {
    const label = labels.get(name);
    if (label !== undefined) names.push(`${name}=${label}`);
    // What is looked up when asked for is a folder.
    else names.push(child instanceof Map || typeof child === 'function' ? `${name}/` : name);
  }
  return names.join('\n');
}

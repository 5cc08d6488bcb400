import { connect, type Socket } from 'node:net';
import { textsOf } from '../simulate/ec2Client.js';
import type { ClientEnvironment } from '../test/support/cloud.js';
import { signedV2 } from '../test/support/ec2.js';

/** The answer of an HTTP server. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

/**
 * One kept-alive HTTP connection which sends a request at a time. It reads no more of an answer than its status and its
 * Content-Length: on two cores a full client would take its time from the daemons which are measured.
 */
export class HttpConnection {
  readonly #socket: Socket;
  readonly #host: string;
  #chunks: Buffer[] = [];
  #size = 0;
  #end: number | null = null;
  #waiting: { resolve(answer: Answer): void; reject(error: Error): void } | null = null;

  constructor(host: string, port: number) {
    this.#host = `${host}:${port}`;
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.on('data', (chunk) => this.#take(chunk));
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#fail(new Error(`${this.#host} closed the connection`)));
  }

  /** Throws when the connection breaks, or an answer has no Content-Length. */
  get(url: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(`GET ${url} HTTP/1.1\r\nHost: ${this.#host}\r\n\r\n`);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#end === null) {
      const head = Buffer.concat(this.#chunks);
      const blank = head.indexOf('\r\n\r\n');
      if (blank === -1) return;
      const length = /\r\ncontent-length: *(\d+)/i.exec(head.toString('latin1', 0, blank))?.[1];
      if (length === undefined) {
        this.#fail(new Error(`${this.#host} answered without Content-Length`));
        return;
      }
      this.#end = blank + 4 + Number(length);
    }
    if (this.#size < this.#end) return;
    const whole = Buffer.concat(this.#chunks);
    const body = whole.toString('utf8', whole.indexOf('\r\n\r\n') + 4, this.#end);
    this.#chunks = [];
    this.#size = 0;
    this.#end = null;
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.resolve({ status: Number(whole.toString('latin1', 9, 12)), body });
  }

  #fail(error: Error): void {
    this.#waiting?.reject(error);
    this.#waiting = null;
  }
}

/** A client of the EC2 API on a connection of its own, which signs with version 2. */
export class BenchClient {
  readonly #connection: HttpConnection;

  constructor(private readonly environment: ClientEnvironment) {
    const { hostname, port } = new URL(environment.EC2_URL);
    this.#connection = new HttpConnection(hostname, Number(port));
  }

  /** The XML of an action's answer. Throws what the answer says when it is an error. */
  async call(action: string, params: Readonly<Record<string, string>> = {}): Promise<string> {
    const { EC2_URL, EC2_ACCESS_KEY: access, EC2_SECRET_KEY: secret } = this.environment;
    const { host, pathname: path } = new URL(EC2_URL);
    const { status, body } = await this.#connection.get(signedV2(action, params, { access, secret, host, path }).url);
    if (status !== 200) throw new Error(`${action}: ${status} ${body}`);
    return body;
  }

  /** Runs `count` instances in one call; answers their EC2 ids. */
  async runInstances(count = 1): Promise<string[]> {
    const wish = { ImageId: 'ami-00000001', MinCount: String(count), MaxCount: String(count), InstanceType: 'm1.tiny' };
    return textsOf(await this.call('RunInstances', wish), 'instanceId');
  }

  close(): void {
    this.#connection.close();
  }
}

/** `clients` clients which each do `work` again and again, `count` times in all. Answers the seconds which that took. */
export async function inParallel(
  environment: ClientEnvironment,
  clients: number,
  count: number,
  work: (client: BenchClient, index: number) => Promise<void>,
): Promise<number> {
  const all = Array.from({ length: clients }, () => new BenchClient(environment));
  let next = 0;
  const startedAt = performance.now();
  try {
    await Promise.all(
      all.map(async (client) => {
        while (next < count) await work(client, next++);
      }),
    );
    return (performance.now() - startedAt) / 1000;
  } finally {
    for (const client of all) client.close();
  }
}

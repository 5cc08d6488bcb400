import { createHash, createHmac } from 'node:crypto';
import { Agent, request as httpRequest } from 'node:http';

/** A path at which the EC2 API is served. */
export type Endpoint = '/services/Cloud' | '/services/Admin';

/** Pairs in the order in which they are sent; a Buffer is a form body as it is. */
export type CallParams = Readonly<Record<string, string | number>> | readonly (readonly [string, string])[] | Buffer;

/** An answer of the API. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly xml: string;
  /** The error's code; `none` without one. */
  readonly code: string;
  readonly message: string;
}

/** A request as a client sends it. */
export interface RawRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface Caller {
  readonly access: string;
  readonly secret: string;
  /** Sends an action, signed with version 4 (`signed: false`: without any credentials). */
  call(action: string, params?: CallParams): Promise<Answer>;
  /** {@link call} which must succeed. */
  ok(action: string, params?: CallParams): Promise<Answer>;
  /** The same caller at the other endpoint, or with a clock which is `late` ms behind. */
  at(place: { endpoint?: Endpoint; late?: number }): Caller;
}

/** The text of the first element of this name. */
export function textOf(answer: Answer, element: string): string {
  const match = new RegExp(`<${element}>([^<]*)</${element}>`).exec(answer.xml);
  if (match === null) throw new Error(`No ${element} in ${answer.xml}`);
  return match[1]!;
}
/** The texts of all elements of this name. */
export function textsOf(answer: Answer, element: string): string[] {
  return [...answer.xml.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, 'g'))].map((match) => match[1]!);
}

/** A form body. Names and values are percent-encoded as UTF-8. */
export function formOf(params: CallParams): Buffer {
  if (Buffer.isBuffer(params)) return params;
  const pairs = Array.isArray(params) ? (params as readonly (readonly [string, string])[]) : Object.entries(params);
  return Buffer.from(
    pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&'),
  );
}

/** Sends to the EC2 API of a port of the loopback interface. */
export class Ec2Port {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });

  constructor(readonly port: number) {}

  /** A caller with whatever credentials, at /services/Cloud. */
  caller(access: string, secret: string): Caller {
    return this.#callerAt(access, secret, '/services/Cloud', 0);
  }

  /** Sends a request without credentials. */
  anonymous(action: string, params: CallParams = {}, endpoint: Endpoint = '/services/Cloud'): Promise<Answer> {
    return this.#post(endpoint, { host: this.#host }, bodyOf(action, params));
  }

  /** Sends a request as it is, signed or not. */
  send(request: RawRequest): Promise<Answer> {
    return exchange(this.#agent, this.port, request);
  }

  /** Closes its connections. */
  close(): void {
    this.#agent.destroy();
  }

  get #host(): string {
    return `127.0.0.1:${this.port}`;
  }

  #post(endpoint: Endpoint, headers: Record<string, string>, body: Buffer): Promise<Answer> {
    const type = 'application/x-www-form-urlencoded; charset=utf-8';
    return this.send({ method: 'POST', url: endpoint, headers: { ...headers, 'content-type': type }, body });
  }

  #callerAt(access: string, secret: string, endpoint: Endpoint, late: number): Caller {
    const call: Caller['call'] = (action, params) => {
      const body = bodyOf(action, params);
      const signed = { host: this.#host, endpoint, access, secret, body, now: Date.now() - late };
      return this.#post(endpoint, signedV4(signed), body);
    };
    return {
      access,
      secret,
      call,
      async ok(action, params) {
        const answer = await call(action, params);
        if (answer.status !== 200) throw new Error(`${action}: ${answer.status} ${answer.xml}`);
        return answer;
      },
      at: (place) => this.#callerAt(access, secret, place.endpoint ?? endpoint, place.late ?? late),
    };
  }
}

function bodyOf(action: string, params: CallParams = {}): Buffer {
  const protocol = formOf({ Action: action, Version: '2011-01-01' });
  const form = formOf(params);
  return form.length === 0 ? protocol : Buffer.concat([protocol, Buffer.from('&'), form]);
}

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

/** The headers of a POST signed with version 4, which signs the body's bytes whatever they are. */
function signedV4(parts: {
  host: string;
  endpoint: Endpoint;
  access: string;
  secret: string;
  body: Buffer;
  now: number;
}): Record<string, string> {
  const { host, endpoint, access, secret, body } = parts;
  const stamp = new Date(parts.now).toISOString().replace(/[-:]|\.\d+/g, '');
  const date = stamp.slice(0, 8);
  const canonical = `POST\n${endpoint}\n\nhost:${host}\nx-amz-date:${stamp}\n\nhost;x-amz-date\n${sha256(body)}`;
  const scope = `${date}/nova/ec2/aws4_request`;
  const key = ['nova', 'ec2', 'aws4_request'].reduce(hmac, hmac(`AWS4${secret}`, date));
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${sha256(canonical)}`).toString('hex');
  return {
    host,
    'x-amz-date': stamp,
    authorization: `AWS4-HMAC-SHA256 Credential=${access}/${scope}, SignedHeaders=host;x-amz-date, Signature=${signature}`,
  };
}

function exchange(agent: Agent, port: number, { method, url, headers, body }: RawRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        agent,
        host: '127.0.0.1',
        port,
        method,
        path: url,
        headers: { ...headers, 'content-length': body.length },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const xml = Buffer.concat(chunks).toString('utf8');
          resolve({
            status: response.statusCode ?? 0,
            contentType: response.headers['content-type'] ?? '',
            xml,
            code: /<Code>(.*?)<\/Code>/s.exec(xml)?.[1] ?? 'none',
            message: /<Message>(.*?)<\/Message>/s.exec(xml)?.[1] ?? '',
          });
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

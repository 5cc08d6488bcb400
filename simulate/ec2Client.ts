import { createHmac } from 'node:crypto';
import type { Clock } from '../common/runtime/runtime.js';
import { isoTimeOf } from '../common/time.js';
import type { HttpDoor } from '../common/http/door.js';

/** Who calls: an access key with its project, and the secret key. */
export interface Credentials {
  accessKey: string;
  secretKey: string;
}

/** An answer of the EC2 API. */
export interface Ec2Answer {
  status: number;
  xml: string;
  /** The error's code; undefined when the call succeeded. */
  code: string | undefined;
}

/** A client of the EC2 API which signs with version 2 and hands its request to the door. */
export class Ec2Client {
  constructor(
    private readonly door: HttpDoor,
    private readonly clock: Clock,
    private readonly credentials: Credentials,
  ) {}

  /** Calls an action; `parameters` by dotted name. */
  async call(action: string, parameters: Readonly<Record<string, string | number>> = {}): Promise<Ec2Answer> {
    const all: Record<string, string> = {
      Action: action,
      Version: '2011-01-01',
      AWSAccessKeyId: this.credentials.accessKey,
      SignatureMethod: 'HmacSHA256',
      SignatureVersion: '2',
      Timestamp: isoTimeOf(this.clock.now()),
    };
    for (const [name, value] of Object.entries(parameters)) all[name] = String(value);
    const query = Object.keys(all)
      .sort()
      .map((name) => `${percentEncode(name)}=${percentEncode(all[name]!)}`)
      .join('&');
    const host = 'cloud.example.com:8773';
    const signed = `POST\n${host}\n/services/Cloud\n${query}`;
    const signature = createHmac('sha256', this.credentials.secretKey).update(signed).digest('base64');
    const body = Buffer.from(`${query}&Signature=${percentEncode(signature)}`);
    const response = await this.door.handle({
      method: 'POST',
      url: '/services/Cloud',
      headers: {
        host,
        'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
        'content-length': String(body.length),
      },
      remoteAddress: '127.0.0.1',
      body,
    });
    const xml = String(response.body);
    return { status: response.status, xml, code: /<Code>([^<]*)<\/Code>/.exec(xml)?.[1] };
  }
}

/** Every occurrence of an element's text in an answer. */
export function textsOf(xml: string, element: string): string[] {
  return [...xml.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, 'g'))].map((match) => match[1]!);
}

/** RFC 3986, as the signature wants it. */
function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

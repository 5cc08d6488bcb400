import { textsOf } from '../../simulate/ec2Client.js';
import { signedV2 } from './ec2.js';
import type { ClientEnvironment } from './cloud.js';

/** An answer of nova-api. */
export interface Ec2Response {
  readonly status: number;
  readonly xml: string;
  /** The header Retry-After; null without one. */
  readonly retryAfter: string | null;
  /** The texts of an element, in the order of the document. */
  texts(element: string): string[];
}

/** An instance as DescribeInstances shows it. */
export interface SeenInstance {
  readonly id: string;
  readonly state: string;
  /** What stateReason says; empty without one. */
  readonly reason: string;
}

/** A client which signs with version 2, for tests which need no program of others. */
export class Ec2Caller {
  constructor(private readonly environment: ClientEnvironment) {}

  /** Calls an action. Throws only when no answer comes within two minutes. */
  async call(action: string, params: Readonly<Record<string, string>> = {}): Promise<Ec2Response> {
    const { EC2_URL, EC2_ACCESS_KEY: access, EC2_SECRET_KEY: secret } = this.environment;
    const { origin, host, pathname: path } = new URL(EC2_URL);
    const { url, headers } = signedV2(action, params, { access, secret, host, path });
    const response = await fetch(`${origin}${url}`, {
      headers: { ...headers, connection: 'close' },
      signal: AbortSignal.timeout(120_000),
    });
    const xml = await response.text();
    const retryAfter = response.headers.get('retry-after');
    return { status: response.status, xml, retryAfter, texts: (element) => textsOf(xml, element) };
  }

  /** As {@link call}; throws what the answer says when it is an error. */
  async done(action: string, params: Readonly<Record<string, string>> = {}): Promise<Ec2Response> {
    const answer = await this.call(action, params);
    if (answer.status !== 200) throw new Error(`${action}: ${answer.status} ${answer.xml}`);
    return answer;
  }

  /** Runs one instance of the first image; answers its EC2 id. */
  async runInstance(): Promise<string> {
    const answer = await this.done('RunInstances', {
      ImageId: 'ami-00000001',
      MinCount: '1',
      MaxCount: '1',
      InstanceType: 'm1.tiny',
    });
    return answer.texts('instanceId')[0]!;
  }

  async instance(id: string): Promise<SeenInstance> {
    const answer = await this.done('DescribeInstances', { 'InstanceId.1': id });
    const reason = /<stateReason>.*?<message>([^<]*)<\/message>.*?<\/stateReason>/s.exec(answer.xml)?.[1] ?? '';
    return { id, state: /<instanceState>.*?<name>([^<]*)<\/name>/s.exec(answer.xml)?.[1] ?? '', reason };
  }
}

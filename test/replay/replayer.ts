import { setTimeout as pause } from 'node:timers/promises';
import { type Exceptions } from './exceptions.js';
import { Ids, idsMade } from './ids.js';
import { answered, type Exchange, paramsOf } from './recorded.js';
import type { ReplayCloud } from './replayCloud.js';
import { send } from './send.js';
import { type AnswerText, differences, shapeOf, typesOf } from './shape.js';
import { type Request, signedAgain, signedForS3 } from './signing.js';

/** What a replayed exchange gave. */
export interface Outcome {
  readonly exchange: Exchange;
  /** All differences, also those which are meant. */
  readonly found: readonly string[];
  /** Those which are not meant. */
  readonly unexpected: readonly string[];
  /** Our answer. */
  readonly text: string;
}

/** A recorded answer as if instances had run neither sooner nor later than ours do. */
function inTime(action: string, answer: string): string {
  if (action === 'DescribeInstances') return answer.replaceAll('<name>pending<', '<name>running<');
  if (action !== 'RunInstances') return answer;
  return answer
    .replaceAll('<code>1</code><name>running<', '<code>0</code><name>pending<')
    .replace(/>10\.0\.[\d.]+</g, '><');
}

const isRead = (action: string, method: string): boolean =>
  action === '' ? method === 'GET' : /^(Describe|Get)/.test(action);

/** Replays the exchanges of one folder on a cloud, one after the other. */
export class Replayer {
  #ids: Ids;
  /** Our fixed addresses by the recorded ones. */
  readonly #addresses = new Map<string, string>();

  constructor(
    private readonly cloud: ReplayCloud,
    private readonly folder: string,
    private readonly exceptions: Exceptions,
  ) {
    this.#ids = this.#imageIds();
  }

  #imageIds(): Ids {
    const [kernel = '', ramdisk = '', base = '', plain = ''] = this.cloud.images;
    // The instances which asked for metadata ran when the image had no kernel of its own yet.
    return new Ids(this.folder === 'metadata' ? [kernel, ramdisk, plain, base] : this.cloud.images);
  }

  async #startAfresh(): Promise<void> {
    await this.cloud.reset();
    this.#ids = this.#imageIds();
  }

  /** Does what the exchanges after it need. */
  async #setUp({ as = 'akey:proj', params, makes }: Exchange): Promise<void> {
    await this.cloud.settle();
    const own = Object.entries(params ?? {}).map(([name, value]) => [name, this.#ids.own(value)]);
    const text = await this.cloud.call(as, Object.fromEntries(own) as Record<string, string>);
    const action = params?.['Action'] ?? '';
    await this.cloud.done(action, new Map(own as [string, string][]));
    this.#ids.note(action, makes ?? [], text);
    const [id = '', address] = makes ?? [];
    if (action === 'RunInstances' && address?.startsWith('10.') === true)
      this.#addresses.set(address, await this.cloud.addressOf(this.#ids.own(id)));
  }

  /** An instance asks for its metadata through a proxy, which says who asks. */
  #forwarded({ headers }: Exchange): Record<string, string> {
    const { 'x-forwarded-for': address } = headers;
    if (address === undefined) return {};
    const own = address.replace(/10\.0\.\d+\.\d+/g, (recorded) => this.#addresses.get(recorded) ?? recorded);
    return { 'x-forwarded-for': this.#ids.own(own) };
  }

  /** Sends an exchange's request and compares the answers. What sets something up gives no differences. */
  async replay(exchange: Exchange): Promise<Outcome> {
    if (exchange.params !== undefined || exchange.afresh) {
      await (exchange.afresh ? this.#startAfresh() : this.#setUp(exchange));
      return { exchange, found: [], unexpected: [], text: '' };
    }
    const action = paramsOf(exchange).get('Action') ?? '';
    const place = { exchange: `${this.folder}/${exchange.name}`, action };
    const port = await this.#port(exchange);
    const request = this.#request(exchange, port);
    await this.cloud.settle();
    for (let round = 0; ; round += 1) {
      const { status, headers, body } = await send(port, request);
      const text = body.toString(exchange.answer64 === undefined ? 'utf8' : 'latin1');
      if (exchange.setup && status !== (exchange.status ?? 200)) {
        throw new Error(`${place.exchange}: ${status} ${text}`);
      }
      if (status === 200) {
        await this.cloud.done(action, paramsOf(request));
        const recorded = exchange.status === undefined ? null : idsMade(action, exchange.answer ?? '');
        this.#ids.note(action, recorded, text);
      }
      const found = exchange.setup
        ? []
        : this.#differences(exchange, {
            status,
            type: headers['content-type'] ?? '',
            text,
            etag: headers.etag,
          });
      const unexpected = this.exceptions.unexpected(place, found);
      if (unexpected.length === 0 || !isRead(action, exchange.method) || round === patience)
        return { exchange, found, unexpected, text };
      await pause(50);
    }
  }

  #differences(exchange: Exchange, ours: AnswerText): string[] {
    const original = answered(exchange);
    const { status = 0, type = '', answer = '', answer64 } = original;
    const text =
      answer64 === undefined
        ? inTime(paramsOf(exchange).get('Action') ?? '', answer)
        : Buffer.from(answer64, 'base64').toString('latin1');
    const recorded = { status, type, text, etag: original.etag };
    if (exchange.like !== undefined) return differences(typesOf(shapeOf(recorded)), typesOf(shapeOf(ours)));
    const { known } = this.#ids;
    const etag = original.etag === undefined ? undefined : ours.etag;
    const own = { ...ours, etag, text: this.#ids.recorded(ours.text) };
    return differences(shapeOf(recorded, known), shapeOf(own, known));
  }

  /** Where an exchange goes: listeners and pipelines which the recorded system had beside the usual ones. */
  #port({ port, target }: Exchange): Promise<number> | number {
    if (port === 3333) return this.cloud.s3Port;
    if (port === 8783) return this.cloud.door('noauth', ['--ec2_auth=noauth']);
    if (target.startsWith('/services/Lockout')) return this.cloud.lockoutPort();
    return this.cloud.ec2Port;
  }

  #request(exchange: Exchange, port: number): Request & { body64?: string } {
    const host = (exchange.headers['host'] ?? '').replace('cloud1', '127.0.0.1').replace(/:\d+$/, `:${port}`);
    const changed = {
      method: exchange.method,
      target: this.#ids.own(exchange.target).replace('/services/Lockout', '/services/Cloud'),
      headers: { ...exchange.headers, host, ...this.#forwarded(exchange) },
      ...(exchange.body !== undefined && { body: this.#ids.own(exchange.body) }),
      ...(exchange.body64 !== undefined && { body64: exchange.body64 }),
    };
    const sign = exchange.port === 3333 ? signedForS3 : signedAgain;
    return { ...changed, ...sign(exchange, changed) };
  }
}

/** How often a reading request is repeated until its answer is as recorded. */
const patience = Number(process.env['NOVA_REPLAY_PATIENCE'] ?? 100);

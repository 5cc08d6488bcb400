import { expect } from 'chai';
import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { StartupError } from '../../../common/errors.js';
import { BodyTooLarge, readBody, type DoorRequest, type HttpDoor } from '../../../common/http/door.js';
import { apiLimits, listen, type HttpLimits, type HttpListener } from '../../../common/http/listen.js';
import { drip } from '../../support/drip.js';
import { testRuntime } from '../../support/runtime.js';

/** Answers what it was asked, reads at most 1000 bytes. */
class EchoDoor implements HttpDoor {
  readonly seen: DoorRequest[] = [];
  /** What came of each request whose body was read. */
  readonly done: string[] = [];
  hold: Promise<void> = Promise.resolve();

  async handle(request: DoorRequest): ReturnType<HttpDoor['handle']> {
    this.seen.push(request);
    await this.hold;
    const headers = { 'content-type': 'text/xml', 'x-seen': String(this.seen.length) };
    if (request.url === '/stream') return { status: 200, headers, body: Readable.from(['one ', 'two']) };
    if (request.url === '/broken') {
      const body = new Readable({ read() {} });
      body.push('half');
      this.broken = body;
      return { status: 200, headers, body };
    }
    try {
      const body = await readBody(request.body, 1000);
      this.done.push(body.toString());
      return { status: 200, headers, body: `${request.method} ${body.toString()}` };
    } catch (error) {
      if (error instanceof BodyTooLarge) return { status: 413, headers, body: 'too large' };
      this.done.push('broke off');
      return { status: 400, headers, body: 'broke off' };
    }
  }
  broken: Readable | undefined;
}

describe('HTTP', () => {
  const { runtime } = testRuntime();
  const listeners: HttpListener[] = [];
  const agents: Agent[] = [];

  async function serve(
    limits: Partial<HttpLimits> = {},
  ): Promise<{ door: EchoDoor; url: string; listener: HttpListener }> {
    const door = new EchoDoor();
    const options = { name: 'ec2', host: '127.0.0.1', port: 0, limits: { ...apiLimits, ...limits } };
    const listener = await listen(runtime, door, options);
    listeners.push(listener);
    return { door, url: `http://127.0.0.1:${listener.address.port}`, listener };
  }
  afterEach(async () => {
    for (const agent of agents.splice(0)) agent.destroy();
    for (const listener of listeners.splice(0)) await listener.stop(0);
  });

  const portOf = (url: string): number => Number(new URL(url).port);

  /** What a server sends to raw bytes until it closes. */
  const raw = (url: string, ...chunks: string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(portOf(url), '127.0.0.1');
      let text = '';
      socket.on('data', (chunk) => (text += chunk.toString()));
      socket.on('close', () => resolve(text));
      socket.on('error', reject);
      for (const chunk of chunks) socket.write(chunk);
    });

  it('hands method, target, headers, body and peer to the door, and its answer back', async () => {
    const { door, url } = await serve();
    const headers = { 'X-One': 'a', 'content-type': 'application/x-www-form-urlencoded' };
    const response = await fetch(`${url}//services/Cloud/?A=%2f`, { method: 'POST', body: 'B=1', headers });
    expect(response.status).to.equal(200);
    expect(response.headers.get('content-type')).to.equal('text/xml');
    expect(await response.text()).to.equal('POST B=1');
    const [seen] = door.seen;
    expect(seen).to.include({ method: 'POST', url: '//services/Cloud/?A=%2f', remoteAddress: '127.0.0.1' });
    expect(seen!.headers).to.include({ 'x-one': 'a', host: new URL(url).host });
  });

  it('finds no header which was not sent, whatever its name', async () => {
    const { door, url } = await serve();
    await fetch(url);
    await raw(url, 'GET / HTTP/1.1\r\nHost: a\r\nconstructor: own\r\n__proto__: x\r\nConnection: close\r\n\r\n');
    const [none, own] = door.seen.map(({ headers }) => headers);
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty'])
      expect(none![name]).to.equal(undefined);
    expect(own!['constructor']).to.equal('own');
    expect(own!['toString']).to.equal(undefined);
  });

  it('keeps a connection for the next request', async () => {
    const { url } = await serve();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    agents.push(agent);
    const ports: (number | undefined)[] = [];
    for (let i = 0; i < 3; i++) {
      await new Promise<void>((resolve, reject) => {
        const request = httpRequest(url, { agent, method: 'POST' }, (response) => {
          ports.push(response.socket.localPort);
          response.resume().on('end', resolve);
        });
        request.on('error', reject).end('x'.repeat(i));
      });
    }
    expect(new Set(ports).size).to.equal(1);
  });

  it('answers HEAD without a body, and closes a stream which nobody reads', async () => {
    const { url } = await serve();
    const response = await fetch(url, { method: 'HEAD' });
    expect(response.status).to.equal(200);
    expect(await response.text()).to.equal('');
    const stream = await fetch(`${url}/stream`, { method: 'HEAD' });
    expect(stream.headers.get('x-seen')).to.equal('2');
    expect(await (await fetch(`${url}/stream`)).text()).to.equal('one two');
  });

  it('breaks the connection off when an answer breaks off', async () => {
    const { door, url } = await serve();
    const response = await fetch(`${url}/broken`);
    const text = response.text();
    door.broken!.destroy(new Error('disk'));
    expect(
      await text.then(
        () => 'whole',
        () => 'broken',
      ),
    ).to.equal('broken');
  });

  it('lets a client finish which sends too much, then answers it', async () => {
    const { url } = await serve();
    const response = await fetch(url, { method: 'POST', body: 'x'.repeat(5000) });
    expect(response.status).to.equal(413);
    expect(response.headers.get('connection'), 'the connection stays').to.equal('keep-alive');
  });

  it('stops a client which sends without end', async () => {
    const { url } = await serve();
    const text = await raw(url, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n', 'x'.repeat(20_000));
    expect(text).to.match(/^HTTP\/1.1 413 /);
    expect(text).to.match(/\r\nConnection: close\r\n/);
  });

  it('does not wait for ever for a slow client', async function () {
    this.timeout(30_000);
    const { url } = await serve({ headersMs: 300, requestMs: 600 });
    expect(await raw(url, 'GET / HTTP/1.1\r\nHos')).to.match(/^HTTP\/1.1 408 /);
    expect(await raw(url, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab')).to.match(/^HTTP\/1.1 408 /);
  });

  it('cuts off a client which was refused, and goes on sending byte by byte', async function () {
    this.timeout(30_000);
    const { door, url } = await serve({ headersMs: 300, requestMs: 600 });
    const [headers, body] = await Promise.all([
      drip(runtime, portOf(url), 'GET / HTTP/1.1\r\nX: ', 100),
      drip(runtime, portOf(url), 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n', 100),
    ]);
    expect(headers).to.match(/^HTTP\/1\.1 408 .*\r\n\r\n408 Request Timeout$/s);
    expect(body).to.match(/^HTTP\/1\.1 408 .*\r\n\r\n408 Request Timeout$/s);
    expect(door.done).to.deep.equal(['broke off']);
  });

  it('does nothing of what it has refused, when the rest comes after all', async function () {
    this.timeout(30_000);
    const { door, url } = await serve({ headersMs: 300, requestMs: 600 });
    const late = (first: string, rest: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connect(portOf(url), '127.0.0.1');
        let text = '';
        socket.on('data', (chunk) => {
          if (text === '') socket.write(rest);
          text += chunk.toString();
        });
        socket.on('close', () => resolve(text));
        socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' ? undefined : reject(error)));
        socket.write(first);
      });
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n';
    const another = 'POST /another HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc';
    const answers = await Promise.all([
      late(`${head}01234`, `56789${another}`),
      late(head.slice(0, 20), `${head.slice(20)}0123456789${another}`),
    ]);
    for (const answer of answers)
      expect(answer.match(/^HTTP\/1\.1 .*$/gm)).to.deep.equal(['HTTP/1.1 408 Request Timeout']);
    expect(door.done).to.deep.equal(['broke off']);
    // Nor when the door comes to read only after it has failed.
    let release: () => void = () => undefined;
    door.hold = new Promise((resolve) => (release = resolve));
    expect(await late(`${head}01234`, '56789')).to.match(/^HTTP\/1\.1 408 /);
    release();
    while (door.done.length < 2) await runtime.sleep(5);
    expect(door.done).to.deep.equal(['broke off', 'broke off']);
    expect(door.seen).to.have.length(2);
  });

  it('gives no refusal for the answer to a request which is being done', async () => {
    const { door, url } = await serve();
    let release: () => void = () => undefined;
    door.hold = new Promise((resolve) => (release = resolve));
    const text = await raw(url, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc', 'nonsense\r\n\r\n');
    expect(text).to.equal('');
    release();
  });

  it('cuts off a body of any size which comes in drops, and waits for one which is slow', async function () {
    this.timeout(30_000);
    const slowest = { graceMs: 200, windowMs: 400, bytes: 200 };
    const { door, url } = await serve({ requestMs: 0, slowest });
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n';
    expect(await drip(runtime, portOf(url), head, 20)).to.match(/^HTTP\/1\.1 408 /);
    expect(
      await drip(
        runtime,
        portOf(url),
        head.replace('Content-Length: 1000', 'Transfer-Encoding: chunked'),
        20,
        '1\r\nx\r\n',
      ),
    ).to.match(/^HTTP\/1\.1 408 /);
    expect(door.done).to.deep.equal(['broke off', 'broke off']);
    const slow = head.replace('Host: a', 'Host: a\r\nConnection: close');
    expect(await drip(runtime, portOf(url), slow, 40, 'x'.repeat(40))).to.match(/^HTTP\/1\.1 200 .*x{1000}$/s);
  });

  it('takes its own slowness for none of the client', async () => {
    const { door, url } = await serve({ requestMs: 0, slowest: { graceMs: 20, windowMs: 100, bytes: 1000 } });
    door.hold = runtime.sleep(1000);
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n';
    expect(await raw(url, head, 'x'.repeat(200_000))).to.match(/^HTTP\/1\.1 413 /);
  });

  it('closes a connection on which nothing is asked any more', async () => {
    const { url } = await serve({ keepAliveMs: 100 });
    expect(await raw(url, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')).to.match(/^HTTP\/1\.1 200 .*\r\n\r\nGET $/s);
  });

  it('refuses what is no HTTP, and headers without end', async () => {
    const { url } = await serve();
    expect(await raw(url, 'nonsense\r\n\r\n')).to.match(/^HTTP\/1.1 400 /);
    expect(await raw(url, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`)).to.match(/^HTTP\/1.1 431 /);
  });

  it('says which flag to change when the port is in use', async () => {
    const { listener } = await serve();
    const taken = listen(runtime, new EchoDoor(), { name: 'ec2', host: '127.0.0.1', port: listener.address.port });
    const error = await taken.catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(StartupError);
    expect((error as Error).message).to.match(/127\.0\.0\.1:\d+ is in use .*--ec2_listen_port/);
    const nowhere = await listen(runtime, new EchoDoor(), { name: 'ec2', host: '203.0.113.1', port: 0 }).catch(
      (thrown: unknown) => thrown,
    );
    expect((nowhere as Error).message).to.match(/no address of this host; choose another with --ec2_listen/);
  });

  it('finishes running requests when it stops, and takes no more', async () => {
    const { door, url, listener } = await serve();
    let release: () => void = () => undefined;
    door.hold = new Promise((resolve) => (release = resolve));
    const running = fetch(url, { method: 'POST', body: 'work' });
    while (door.seen.length === 0) await runtime.sleep(5);
    const stopped = listener.stop(10_000);
    expect(
      await fetch(url).then(
        () => 'taken',
        () => 'refused',
      ),
    ).to.equal('refused');
    release();
    const response = await running;
    expect(response.headers.get('connection')).to.equal('close');
    expect(await response.text()).to.equal('POST work');
    await stopped;
  });

  it('cuts off what does not end', async () => {
    const { door, url, listener } = await serve();
    door.hold = new Promise(() => undefined);
    const running = fetch(url).then(
      () => 'answered',
      () => 'cut off',
    );
    while (door.seen.length === 0) await runtime.sleep(5);
    await listener.stop(50);
    expect(await running).to.equal('cut off');
  });
});

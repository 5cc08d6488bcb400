import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import type { FlagName } from '../../../common/flags/flags.js';
import { amqpTransport } from '../../../common/rpc/amqp.js';
import { testRuntime } from '../../support/runtime.js';
import { temporaryFolder } from '../../support/temporary.js';

/** What a client of AMQP 0-9-1 says first. */
const header = 'AMQP\0\0\t\x01';

/** Something which listens where a broker should, and never is one. */
class NoBroker {
  /** What each connection has said. */
  readonly heard: string[] = [];

  constructor(private readonly server: Server) {}

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return (this.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** Closes each connection as soon as it has heard so much as the header. */
function hangingUp(make: (listener: (socket: import('node:net').Socket) => void) => Server): NoBroker {
  const broker: NoBroker = new NoBroker(
    make((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', (data) => {
        broker.heard.push(data.toString('latin1'));
        socket.destroy();
      });
    }),
  );
  return broker;
}

describe('a connection to the broker', () => {
  /** Tries three times to connect; answers the error and the lines of the log. */
  async function attempts(
    port: number,
    flags: Partial<Record<FlagName, unknown>> = {},
  ): Promise<{ error: Error; lines: readonly string[] }> {
    const { runtime, log } = testRuntime({
      rabbit_host: '127.0.0.1',
      rabbit_port: port,
      rabbit_max_retries: 3,
      rabbit_retry_interval: 0.05,
      rabbit_retry_backoff: 0,
      ...flags,
    });
    const transport = amqpTransport(runtime);
    const error = await transport.connect().then(
      () => new Error('it connected'),
      (reason: Error) => reason,
    );
    await transport.close();
    return { error, lines: log.lines };
  }

  it('is tried again when it is closed in the middle of the negotiation, with one line for each attempt', async () => {
    const broker = hangingUp((listener) => createServer(listener));
    const { error, lines } = await attempts(await broker.listen());
    await broker.close();
    expect(error.name).to.equal('StartupError');
    expect(error.message).to.include('3 attempts');
    expect(broker.heard).to.deep.equal([header, header, header]);
    const told = lines.filter((line) => line.includes('Trying again'));
    expect(told).to.have.length(2);
    expect(told.join('')).not.to.match(/\n\s+at /);
  });

  describe('with rabbit_use_ssl', () => {
    const folder = temporaryFolder('tls');
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    let broker: NoBroker;
    let port: number;
    before(async () => {
      const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1'];
      const names = ['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert];
      execFileSync('openssl', [...request, ...names], { stdio: 'ignore' });
      broker = hangingUp((listener) =>
        createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, listener).on(
          'tlsClientError',
          () => undefined,
        ),
      );
      port = await broker.listen();
    });
    after(() => broker.close());

    it('is encrypted, where the authority of kombu_ssl_ca_certs vouches for the broker', async () => {
      await attempts(port, { rabbit_use_ssl: true, kombu_ssl_ca_certs: cert });
      expect(broker.heard).to.deep.equal([header, header, header]);
    });

    it('says nothing to a broker for which nobody vouches', async () => {
      broker.heard.length = 0;
      const { error } = await attempts(port, { rabbit_use_ssl: true });
      expect(error.message).to.match(/self-signed|certificate/);
      expect(broker.heard).to.deep.equal([]);
    });
  });
});

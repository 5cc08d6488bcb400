import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Readable } from 'node:stream';
import Koa from 'koa';
import { StartupError, errorText } from '../errors.js';
import { underWay } from '../underWay.js';
import type { Runtime } from '../runtime/runtime.js';
import { Connections } from './connections.js';
import type { DoorRequest, HttpDoor } from './door.js';
import { watchBody, type SlowestBody } from './slowBodies.js';

/** What a listener bounds. Milliseconds and bytes. */
export interface HttpLimits {
  /** For the request line and all headers. */
  readonly headersMs: number;
  /** For the whole request; 0 for doors which take bodies of any size. */
  readonly requestMs: number;
  /** What a body of any size must keep up with; null where `requestMs` bounds it. */
  readonly slowest: SlowestBody | null;
  /** Without a byte in either direction. */
  readonly idleMs: number;
  /** An idle connection is kept so long for the client's next request. */
  readonly keepAliveMs: number;
  readonly headerBytes: number;
}

/** Limits of a door with small requests. */
export const apiLimits: HttpLimits = {
  headersMs: 20_000,
  requestMs: 60_000,
  slowest: null,
  idleMs: 300_000,
  keepAliveMs: 75_000,
  headerBytes: 64 * 1024,
};
/** Limits of a door which streams: a slow transfer may last, one which stands still or drips (less than 1 KiB/s) may not. */
export const streamingLimits: HttpLimits = {
  ...apiLimits,
  requestMs: 0,
  slowest: { graceMs: 60_000, windowMs: 60_000, bytes: 60 * 1024 },
  idleMs: 120_000,
};

export interface HttpOptions {
  /** Of the flags `<name>_listen` and `<name>_listen_port`, e.g. `ec2`, unless `flags` names others. */
  readonly name: string;
  /** The flags which say where to listen. */
  readonly flags?: { readonly host: string; readonly port: string };
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly limits?: HttpLimits;
}

/** Where a door can be reached. */
export interface HttpAddress {
  readonly host: string;
  readonly port: number;
}

export interface HttpListener {
  /** The real one, also where a free port was asked for. */
  readonly address: HttpAddress;
  /** Takes no more connections and requests; resolves when the running ones are answered, or cut off after `graceMs`. */
  stop(graceMs: number): Promise<void>;
}

/**
 * Serves a door over HTTP/1.1: keep-alive, HEAD without a body, bounded headers and waiting times. Throws StartupError
 * which names the flags when it can't listen.
 */
export async function listen(runtime: Runtime, door: HttpDoor, options: HttpOptions): Promise<HttpListener> {
  const limits = options.limits ?? apiLimits;
  const logger = runtime.log.logger(`nova.api.${options.name}`);
  const connections = new Connections(runtime);
  let stopping = false;

  const app = new Koa();
  app.silent = true;
  app.use(async (ctx) => {
    if (connections.isRefused(ctx.req.socket)) {
      ctx.respond = false;
      return;
    }
    connections.begin(ctx.req, ctx.res);
    const watch =
      limits.slowest === null || !hasBody(ctx.req)
        ? null
        : watchBody(runtime, ctx.req, limits.slowest, () => connections.refuse(ctx.req.socket, refusalText(door, 408)));
    const what = `request ${ctx.method} ${options.name}${ctx.path.slice(0, 100)}`;
    const { status, headers, body } = await underWay(runtime.clock, what, () =>
      door.handle(doorRequest(ctx.req, ctx.res)),
    ).finally(() => watch?.cancel());
    if (connections.isRefused(ctx.req.socket)) {
      if (body instanceof Readable) body.destroy();
      ctx.respond = false;
      return;
    }
    ctx.status = status;
    if (body instanceof Readable) {
      body.on('error', (error) => {
        logger.warn(`An answer to ${ctx.method} broke off: ${errorText(error)}`);
        // The status is sent already: only a broken connection tells the client that this is not all.
        ctx.res.destroy();
      });
      // Without a reader a stream would keep its file open.
      if (ctx.method === 'HEAD') body.destroy();
    }
    if (!(body instanceof Readable && ctx.method === 'HEAD')) ctx.body = body;
    ctx.set({ ...headers });
    // A client which is still sending has not been read to the end: its next request could not be told apart.
    if (stopping || !ctx.req.complete) ctx.set('Connection', 'close');
  });
  app.on('error', (error: NodeJS.ErrnoException) => {
    const clientLeft = ['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ECANCELED'].includes(error.code ?? '');
    if (clientLeft) logger.debug(`A client went away: ${error.message}`);
    else logger.error(`A request failed: ${errorText(error)}`, error);
  });

  const server = createServer(
    {
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.keepAliveMs,
      maxHeaderSize: limits.headerBytes,
      connectionsCheckingInterval: 2_000,
      // Our own answer instead of Node's, which would be in another shape.
      requireHostHeader: false,
    },
    app.callback(),
  );
  server.timeout = limits.idleMs;
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code === 'ECONNRESET') socket.destroy();
    else connections.refuse(socket, refusalText(door, statusOf(error)));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(error, options)));
    server.listen(options.port, options.host, resolve);
  });
  server.on('error', (error) => logger.error(`The listener failed: ${errorText(error)}`, error));
  const { address, port } = server.address() as AddressInfo;
  logger.info(`Started ${options.name} on ${address}:${port}`);
  return {
    address: { host: address, port },
    stop(graceMs) {
      stopping = true;
      return close(runtime, server, graceMs);
    },
  };
}

const refusals = { 400: 'Bad Request', 408: 'Request Timeout', 431: 'Request Header Fields Too Large' } as const;

/** The status of what Node's parser or its time limits refuse. */
function statusOf(error: NodeJS.ErrnoException): keyof typeof refusals {
  if (error.code === 'HPE_HEADER_OVERFLOW') return 431;
  return error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
}

/** A short answer as it goes over the wire, in the shape of the door's own. */
function refusalText(door: HttpDoor, status: keyof typeof refusals): string {
  const reason = refusals[status];
  const { headers, body } = door.refuse?.(status, reason) ?? {
    headers: { 'content-type': 'text/plain' },
    body: `${status} ${reason}`,
  };
  return (
    `HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nContent-Type: ${headers['content-type']}\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  );
}

/** Whether a request says that a body follows its head. */
const hasBody = ({ headers }: IncomingMessage): boolean =>
  'transfer-encoding' in headers || Number(headers['content-length'] ?? 0) > 0;

function cannotListen(error: NodeJS.ErrnoException, options: HttpOptions): StartupError {
  const { name, host, port } = options;
  const flags = options.flags ?? { host: `${name}_listen`, port: `${name}_listen_port` };
  const where = `${host}:${port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new StartupError(`${where} is in use by another program; choose another port with --${flags.port}`);
    case 'EACCES':
      return new StartupError(`No permission to listen on ${where}; choose a port above 1023 with --${flags.port}`);
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new StartupError(`${host} is no address of this host; choose another with --${flags.host}`);
    default:
      return new StartupError(`Cannot listen on ${where} (--${flags.host}, --${flags.port}): ${error.message}`);
  }
}

function doorRequest(request: IncomingMessage, response: ServerResponse): DoorRequest {
  // Without prototype: clients name headers to look up (SignedHeaders), and no `constructor` may be found among them.
  const headers = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return {
    method: request.method ?? 'GET',
    url: request.url ?? '/',
    headers,
    remoteAddress: (request.socket ?? response.socket).remoteAddress?.replace(/^::ffff:/i, '') ?? null,
    body: request,
  };
}

/** Stops accepting, closes idle connections, waits for running requests, cuts off what is left after `graceMs`. */
async function close(runtime: Runtime, server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const deadline = runtime.after(graceMs, () => server.closeAllConnections());
  await closed;
  deadline.cancel();
}

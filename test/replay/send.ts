import { Agent, type IncomingHttpHeaders, request as httpRequest } from 'node:http';
import { bodyOf } from './recorded.js';

const agent = new Agent({ keepAlive: true });

/** What came back. */
export interface Received {
  readonly status: number;
  readonly headers: Readonly<IncomingHttpHeaders>;
  readonly body: Buffer;
}

/** Sends a request as it is, byte for byte, to 127.0.0.1. */
export function send(
  port: number,
  request: {
    readonly method: string;
    readonly target: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: string;
    readonly body64?: string;
  },
): Promise<Received> {
  const body = bodyOf(request);
  const hasBody = request.body !== undefined || request.body64 !== undefined || request.method === 'POST';
  const headers = {
    ...request.headers,
    ...((hasBody || request.method === 'PUT') && { 'content-length': body.length }),
  };
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      { agent, host: '127.0.0.1', port, method: request.method, path: request.target, headers },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

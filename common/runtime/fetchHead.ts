import { Agent, request, type IncomingMessage } from 'node:http';

const agent = new Agent({ keepAlive: true });

/** A connection which the server closed while it was idle: the request has not arrived. */
const closedMeanwhile = new Set(['ECONNRESET', 'EPIPE']);

/**
 * `fetch` of a HEAD over http. The built-in one closes its connection after each HEAD, and a new one costs more than the
 * question. Redirects are errors.
 */
export async function fetchHead(url: string, init: RequestInit): Promise<Response> {
  const answer = await send(url, init);
  answer.resume();
  const { statusCode: status = 0, headers, rawHeaders } = answer;
  if (status >= 300 && status < 400) throw new TypeError(`redirected to ${headers.location ?? 'nowhere'}`);
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) pairs.push([rawHeaders[at]!, rawHeaders[at + 1]!]);
  return new Response(null, { status, headers: pairs });
}

function send(url: string, init: RequestInit): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { signal } = init;
    const headers = Object.fromEntries(new Headers(init.headers));
    const sent = request(url, { method: 'HEAD', agent, headers, ...(signal ? { signal } : {}) });
    sent.once('response', resolve);
    sent.once('error', (error: NodeJS.ErrnoException) => {
      if (sent.reusedSocket && closedMeanwhile.has(error.code ?? '')) send(url, init).then(resolve, reject);
      else reject(signal?.aborted ? (signal.reason as Error) : error);
    });
    sent.end();
  });
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Runtime } from '../runtime/runtime.js';
import { breakOff } from './door.js';

/** Milliseconds which a client that was refused has to read why: destroyed at once, what it still sends could take that with it. */
const lingerMs = 1_000;

/** What is under way on a listener's connections, so that one can be refused with all that it brings. */
export class Connections {
  readonly #pending = new WeakMap<Socket, Map<IncomingMessage, ServerResponse>>();
  readonly #refused = new WeakSet<Socket>();

  constructor(private readonly runtime: Pick<Runtime, 'after'>) {}

  /** Notes a request until it is answered. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    let pending = this.#pending.get(request.socket);
    if (pending === undefined) this.#pending.set(request.socket, (pending = new Map()));
    pending.set(request, response);
    response.once('close', () => pending.delete(request));
  }

  /** Whether this connection's requests are neither carried out nor answered any more. */
  isRefused(socket: Socket): boolean {
    return this.#refused.has(socket);
  }

  /**
   * Sends `answer` and ends the connection. A body which is not there as a whole fails for its reader, so that what was
   * refused is not done. Without the answer where a request before it is being done: it would be taken for that one's.
   */
  refuse(socket: Socket, answer: string): void {
    if (this.#refused.has(socket)) return;
    this.#refused.add(socket);
    let isAnswering = false;
    for (const [request, response] of this.#pending.get(socket) ?? []) {
      if (request.complete || response.headersSent) isAnswering = true;
      if (!request.complete) {
        breakOff(request, Object.assign(new Error('The request was refused'), { code: 'ECONNRESET' }));
      }
    }
    if (isAnswering || !socket.writable) {
      socket.destroy();
      return;
    }
    socket.end(answer);
    const timer = this.runtime.after(lingerMs, () => socket.destroy());
    socket.once('close', () => timer.cancel());
  }
}

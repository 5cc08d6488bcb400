import type { IncomingMessage } from 'node:http';
import type { Runtime, Timer } from '../runtime/runtime.js';

/** The slowest body which is waited for: honest slow links send more. */
export interface SlowestBody {
  /** Milliseconds in which a body may be as slow as it likes. */
  readonly graceMs: number;
  /** Milliseconds, again and again thereafter, in which so many bytes must come. */
  readonly windowMs: number;
  readonly bytes: number;
}

/** How often within a window is looked whose turn it is. */
const looks = 20;

/**
 * Watches a request whose body comes in, and calls `cutOff` once when it is slower than it may be. Only time in which we
 * wait for the client counts: what has come and is not read yet waits for us. Ends by itself with the body.
 */
export function watchBody(
  runtime: Pick<Runtime, 'after'>,
  request: IncomingMessage,
  slowest: SlowestBody,
  cutOff: () => void,
): Timer {
  const stepMs = slowest.windowMs / looks;
  let leftMs = slowest.graceMs + slowest.windowMs;
  let counted: number | null = null;
  const look = (): void => {
    if (request.complete || request.destroyed) return;
    if (request.readableLength === 0) leftMs -= stepMs;
    if (leftMs <= slowest.windowMs) counted ??= request.socket.bytesRead;
    if (leftMs <= 0) {
      if (request.socket.bytesRead - counted! < slowest.bytes) {
        cutOff();
        return;
      }
      leftMs = slowest.windowMs;
      counted = request.socket.bytesRead;
    }
    timer = runtime.after(stepMs, look);
  };
  let timer = runtime.after(stepMs, look);
  return { cancel: () => timer.cancel() };
}

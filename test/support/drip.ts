import { connect } from 'node:net';
import type { Runtime } from '../../common/runtime/runtime.js';

/**
 * What a server sends to a client which sends a head, and then a drop every `everyMs`, until the server closes. Throws
 * when it doesn't within twelve seconds.
 */
export function drip(
  runtime: Pick<Runtime, 'after'>,
  port: number,
  head: string,
  everyMs: number,
  drop = 'x',
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    let text = '';
    const send = (): void => {
      if (socket.destroyed) return;
      socket.write(drop);
      runtime.after(everyMs, send);
    };
    const patience = runtime.after(12_000, () => {
      socket.destroy();
      reject(new Error(`still open, after: ${text}`));
    });
    socket.on('data', (chunk) => (text += chunk.toString()));
    // What is sent to a closed connection comes back as an error.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      patience.cancel();
      resolve(text);
    });
    socket.write(head);
    send();
  });
}

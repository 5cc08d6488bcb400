import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { Runtime } from '../runtime/runtime.js';

/** OpenVPN's first packet: opcode 7 (P_CONTROL_HARD_RESET_CLIENT_V2) with key 0, session id, then nothing acknowledged. */
const hello = 0x38;
/** The server's answer: opcode 8 with key 0. */
const reply = { opcode: 0x40, length: 26 };
const waitMs = 250;

/**
 * Whether an OpenVPN server answers at this address (nova 2011.3, nova/utils.py vpn_ping): one packet, one answer which
 * repeats our session id, or none in time.
 */
export async function vpnIsUp(
  runtime: Pick<Runtime, 'after' | 'outside' | 'random'>,
  address: string,
  port: number,
): Promise<boolean> {
  const session = runtime.random.bytes(8);
  const packet = Buffer.concat([Buffer.from([hello]), session, Buffer.alloc(6)]);
  return runtime.outside(
    () =>
      new Promise<boolean>((resolve) => {
        const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
        const finish = (isUp: boolean): void => {
          timer.cancel();
          socket.removeAllListeners('message');
          socket.close();
          resolve(isUp);
        };
        const timer = runtime.after(waitMs, () => finish(false));
        socket.once('error', () => finish(false));
        socket.on('message', (answer) => {
          const isReply = answer.length === reply.length && answer[0] === reply.opcode;
          if (isReply && answer.subarray(14, 22).equals(session)) finish(true);
        });
        socket.send(packet, port, address, (error) => {
          if (error !== null) socket.emit('error', error);
        });
      }),
  );
}

import { errorText } from '../errors.js';
import type { Runtime } from '../runtime/runtime.js';

/**
 * Tells systemd that the daemon serves (sd_notify(3), READY=1), where it asks for that through NOTIFY_SOCKET. The message
 * goes through systemd-notify(1), Node.js having no datagram sockets of that kind: units need NotifyAccess=all.
 */
export async function notifyReady(runtime: Runtime, status: string): Promise<void> {
  // eslint-disable-next-line no-restricted-syntax -- systemd's own way to say where it listens
  if (!process.env['NOTIFY_SOCKET']) return;
  try {
    await runtime.exec(['systemd-notify', '--ready', `--status=${status}`]);
  } catch (error) {
    runtime.log.logger('nova.service').warn(`systemd was not told that the daemon is ready: ${errorText(error)}`);
  }
}

import { adminContext } from '../context.js';
import { errorText, StartupError } from '../errors.js';
import type { Logger } from '../log.js';
import type { Runtime } from '../runtime/runtime.js';
import { dbTime, pythonTime } from '../time.js';
import { encodeJson, notificationBody } from './envelope.js';
import type { Rpc } from './rpc.js';
import type { Transport } from './transport.js';

type Notification = Readonly<Record<string, unknown>>;
/** Sends one complete notification; may throw. */
type Driver = (priority: Priority, notification: Notification) => Promise<void>;

/** Priorities and the log level which stands for each (nova 2011.3, nova/notifier/api.py). */
const levels = {
  DEBUG: 'debug',
  WARN: 'warn',
  INFO: 'info',
  ERROR: 'error',
  CRITICAL: 'critical',
} as const satisfies Record<string, keyof Logger>;
type Priority = keyof typeof levels;

const driverNames = ['no_op', 'rabbit', 'log', 'list', 'test'] as const;
type DriverName = (typeof driverNames)[number];

/** Keys whose values never leave in a notification, wherever they stand. 2011.3 leaks them (rpc contract 6.3). */
const secretKeys =
  /^(_context_)?(auth_token|admin_password|admin_pass|adminpass|new_pass|password|injected_files|file_contents|user_data|secret|secret_key|access_key|private_key|provider_auth)$/i;

/** A copy without the values of secret keys, at any depth. */
function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !secretKeys.test(key));
  return Object.fromEntries(kept.map(([key, item]) => [key, withoutSecrets(item)]));
}

function driverName(flag: string, value: string): DriverName {
  const match = /^(?:nova\.notifier\.)?(\w+?)(?:_notifier)?$/.exec(value);
  const found = driverNames.find((name) => name === match?.[1]);
  if (found === undefined) {
    const known = driverNames.map((name) => `nova.notifier.${name}_notifier`).join(', ');
    throw new StartupError(`--${flag}: there is no notification driver ${value}; there are ${known}`);
  }
  return found;
}

/**
 * The sender of notifications which the flag notification_driver chooses. It never throws: what goes wrong is logged.
 * `message_id`, `publisher_id`, `priority` and `timestamp` are filled in where the notification has none.
 */
export function createNotifier(runtime: Runtime, transport: Transport): Rpc['notify'] {
  const { flags } = runtime;
  const log = runtime.log.logger('nova.notifier');

  const nothing: Driver = () => Promise.resolve();
  const rabbit: Driver = (priority, notification) =>
    transport.publish(
      `${flags.notification_topic}.${priority.toLowerCase()}`,
      notificationBody(adminContext(runtime), notification),
      { confirm: false, keep: true },
    );
  const toLog: Driver = (priority, notification) => {
    const logger = runtime.log.logger(`nova.notification.${String(notification['event_type'])}`);
    logger[levels[priority]](encodeJson(notification));
    return Promise.resolve();
  };
  const list = (names: readonly DriverName[]): Driver => {
    const drivers = names.filter((name) => name !== 'list').map(driver);
    return async (priority, notification) => {
      for (const send of drivers) await guarded(send, priority, notification);
    };
  };
  function driver(name: DriverName): Driver {
    if (name === 'rabbit') return rabbit;
    if (name === 'log') return toLog;
    if (name === 'list')
      return list(flags.list_notifier_drivers.map((item) => driverName('list_notifier_drivers', item)));
    return nothing;
  }
  async function guarded(send: Driver, priority: Priority, notification: Notification): Promise<void> {
    try {
      await send(priority, notification);
    } catch (error) {
      log.error(`Could not send the notification ${String(notification['event_type'])}: ${errorText(error)}`);
    }
  }

  const chosen = driver(driverName('notification_driver', flags.notification_driver));
  return async (priority, notification) => {
    if (chosen === nothing) return;
    const level = priority.toUpperCase();
    if (!Object.hasOwn(levels, level)) {
      log.error(`No such priority of notifications: ${priority}`);
      return;
    }
    let given: Notification;
    try {
      given = typeof notification === 'function' ? await notification() : notification;
    } catch (error) {
      log.warn(`There is no notification, for it could not be made: ${errorText(error)}`);
      return;
    }
    const complete = {
      message_id: runtime.random.uuid(),
      publisher_id: flags.default_publisher_id,
      priority: level,
      timestamp: pythonTime(dbTime(runtime.clock.now())),
      ...(withoutSecrets(given) as Notification),
    };
    await guarded(chosen, level as Priority, complete);
  };
}

/** Errors of messages between daemons. */
import { NovaError, StartupError } from './base.js';

/** What went wrong at the other end of an rpc call. `excType` is the remote class name (contract of nova/rpc/common.py). */
export class RemoteError extends NovaError {
  constructor(
    readonly excType: string,
    readonly value: string,
    readonly traceback: readonly string[] = [],
  ) {
    super(`${excType} ${value}`);
  }
}

/** No answer came in time. Names the method and where it was sent. */
export class RpcTimeout extends NovaError {
  constructor(
    readonly method: string,
    readonly routingKey: string,
    seconds: number,
  ) {
    super(`Timeout after ${seconds} s while waiting for an answer to ${method} from ${routingKey}`);
  }
}

/** The broker is away, or refused or returned the message: nobody will act on it. */
export class MessageNotDelivered extends NovaError {}

/** No console proxy hears of a console that was granted, so that its URL would be refused. */
export class ConsoleProxyNotReached extends NovaError {
  constructor(topic: string) {
    super(`No console proxy takes the messages of topic ${topic}. Please try again when one runs.`);
  }
}

/** Another daemon already consumes the queue of this host. */
export class HostAlreadyServed extends StartupError {
  constructor(topic: string, host: string) {
    super(
      `The queue ${topic}.${host} already has a consumer: another nova-${topic} runs as host ${host}. ` +
        `Stop it, or give this one another name with --host`,
    );
  }
}

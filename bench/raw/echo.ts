import { flagsFrom } from '../../common/flags/values.js';
import type { FlagName } from '../../common/flags/flags.js';
import { loggerOf, type Log } from '../../common/log.js';
import { amqpTransport } from '../../common/rpc/amqp.js';
import { serveManager } from '../../common/rpc/dispatcher.js';
import { RealRuntime } from '../../common/runtime/real.js';
import { argumentOfChild, sayReady } from '../child.js';
import { serveRaw } from './amqp.js';

/** Whom the callers of the rpc lines call: amqplib alone, or the product's own consumer. */
interface Argument {
  readonly kind: 'raw' | 'product';
  readonly url: string;
  readonly topic: string;
  readonly flags: Partial<Record<FlagName, unknown>>;
}

/** A log which nobody reads. */
export const noLog: Log = {
  logger: () => loggerOf(() => undefined),
  reopen: () => undefined,
  close: () => Promise.resolve(),
};

/** What is called. */
export interface EchoRpc {
  echo(args: { value: unknown }): Promise<unknown>;
}

async function serveProduct({ flags, topic }: Argument): Promise<void> {
  const runtime = new RealRuntime({ binary: 'bench', flags: flagsFrom(flags), log: noLog });
  const transport = amqpTransport(runtime);
  await transport.connect();
  await serveManager<EchoRpc>({ runtime, transport }, topic, {
    methods: { echo: { required: ['value'] } },
    handlers: { echo: (_context, args) => Promise.resolve(args.value) },
    periodicTasks: [],
    initHost: () => Promise.resolve(),
  });
}

if (process.send !== undefined) {
  const argument = argumentOfChild<Argument>();
  await (argument.kind === 'raw' ? serveRaw(argument.url, argument.topic) : serveProduct(argument));
  sayReady({});
}

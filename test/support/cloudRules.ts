import { Cloud } from '../../common/cloud/cloud.js';
import { Context } from '../../common/context.js';
import { openDatabase } from '../../common/db/database.js';
import type { Db } from '../../common/db/db.js';
import { syncDatabase } from '../../common/db/sync.js';
import { ImageNotFound } from '../../common/errors.js';
import type { FlagName } from '../../common/flags/flags.js';
import type { Image, ImageService } from '../../common/images/imageService.js';
import { createRpc } from '../../common/rpc/client.js';
import { InProcessBus, type CarriedMessage } from '../../common/rpc/inProcess.js';
import { testRuntime } from './runtime.js';

/** A message which the rules published. */
export interface Published {
  routingKey: string;
  method: string;
  args: Record<string, unknown>;
  context: Record<string, unknown>;
  /** Somebody waits for the answer. */
  isCall: boolean;
}

/** The rules over an empty database, with a bus on which the named topics have a queue and nobody works. */
export interface RulesCloud {
  cloud: Cloud;
  db: Db;
  published: Published[];
  /** Who asks; demo of project demo unless told otherwise. */
  context(fields?: { userId?: string; projectId?: string; isAdmin?: boolean; roles?: string[] }): Context;
  close(): Promise<void>;
}

/** An image as the registry would describe it. */
export function anImage(fields: Partial<Image> & { id: string }): Image {
  return {
    name: 'fakeimage123456',
    status: 'active',
    is_public: true,
    deleted: false,
    size: 1024,
    location: null,
    disk_format: 'ami',
    container_format: 'ami',
    checksum: null,
    created_at: '2011-01-01 01:02:03',
    updated_at: '2011-01-01 01:02:03',
    deleted_at: null,
    properties: { kernel_id: 'nokernel', ramdisk_id: 'nokernel' },
    ...fields,
  };
}

/** Images which are always there. */
export function fixedImages(images: readonly Image[]): ImageService {
  const never = (): Promise<never> => Promise.reject(new Error('these images are fixed'));
  const find = (match: (image: Image) => boolean, name: string): Promise<Image> => {
    const image = images.find(match);
    return image === undefined ? Promise.reject(new ImageNotFound(name)) : Promise.resolve(image);
  };
  return {
    detail: () => Promise.resolve([...images]),
    show: (_context, id) => find((image) => image.id === id, id),
    showByName: (_context, name) => find((image) => image.name === name, name),
    download: never,
    create: never,
    update: never,
    delete: never,
  };
}

/** Starts one. `hosts` are the hosts whose daemons have queues; without `scheduler` nobody takes its messages. */
export async function rulesCloud(
  options: {
    flags?: Partial<Record<FlagName, unknown>>;
    images?: readonly Image[];
    scheduler?: boolean;
    hosts?: readonly string[];
    /** Is told of each statement. */
    watch?: (sql: string) => void;
  } = {},
): Promise<RulesCloud> {
  const { runtime } = testRuntime({ sql_connection: 'sqlite://', ...options.flags });
  const db = openDatabase(runtime, options.watch === undefined ? {} : { watch: options.watch });
  await syncDatabase(db);
  const published: Published[] = [];
  const bus = new InProcessBus((message) => published.push(parsed(message)));
  const topics = [
    ...(options.scheduler === false ? [] : [['scheduler', 'cloud1'] as const]),
    ...(options.hosts ?? ['cloud1']).flatMap((host) => [
      ['compute', host] as const,
      ['network', host] as const,
      ['volume', host] as const,
    ]),
  ];
  for (const [topic, host] of topics) {
    await bus.transport(runtime).consume({ topic, host, prefetch: 1000, onMessage: (message) => message.ack() });
  }
  const rpc = createRpc(runtime, bus.transport(runtime));
  const cloud = new Cloud({ runtime, db, rpc, images: fixedImages(options.images ?? [anImage({ id: '1' })]) });
  return {
    cloud,
    db,
    published,
    context: (fields = {}) =>
      new Context({
        userId: 'demo',
        projectId: 'demo',
        isAdmin: false,
        readDeleted: false,
        roles: [],
        remoteAddress: '127.0.0.1',
        timestamp: '2026-11-20T14:47:26.007935',
        requestId: runtime.random.uuid(),
        authToken: null,
        strategy: 'noauth',
        ...fields,
      }),
    close: () => db.close(),
  };
}

function parsed({ routingKey, body }: CarriedMessage): Published {
  const { method, args, _msg_id: messageId, ...context } = JSON.parse(body) as Record<string, unknown>;
  return {
    routingKey,
    method: String(method),
    args: (args ?? {}) as Record<string, unknown>,
    context,
    isCall: messageId !== undefined,
  };
}

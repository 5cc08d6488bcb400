import type { Context } from '../context.js';
import {
  Duplicate,
  errorText,
  ImageNotFound,
  ImageServiceUnavailable,
  Invalid,
  NotAuthorized,
  StartupError,
} from '../errors.js';
import type { Flags } from '../flags/flags.js';
import type { HttpDoor } from '../http/door.js';
import type { Runtime } from '../runtime/runtime.js';
import type { Image, ImageFields, ImageService } from './imageService.js';
import { fieldHeaders, readImage, readImageHeaders } from './wire.js';

const timeoutMs = 30_000;
const pageSize = 500;

type Body = ReadableStream<Uint8Array>;
interface Request {
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  headers?: Record<string, string>;
  body?: Body;
}

/** What of an answer is looked at. */
interface Answer extends Pick<Response, 'ok' | 'status' | 'body' | 'text' | 'json'> {
  readonly headers: Iterable<readonly [string, string]>;
}

/** A registry which this process serves itself: what has no bits needs no socket. */
export interface OwnRegistry {
  /** As the flag glance_api_servers would name it. */
  readonly server: string;
  readonly door: HttpDoor;
}

/** The image registry which a daemon of this process serves by a door, as the flags name it. */
export function ownRegistry(flags: Flags, door: HttpDoor): OwnRegistry {
  const host = flags.images_listen === '0.0.0.0' ? flags.my_ip : flags.images_listen;
  return { server: `${host}:${flags.images_listen_port}`, door };
}

/** Images behind Glance's HTTP API v1 (nova 2011.3, nova/image/glance.py): a Glance, or nova-api's own registry. */
export class GlanceImageService implements ImageService {
  constructor(
    private readonly runtime: Runtime,
    private readonly own: OwnRegistry | null = null,
  ) {}

  async detail(context: Context): Promise<Image[]> {
    const images: Image[] = [];
    for (let marker: string | undefined; ; marker = images.at(-1)?.id) {
      const page = `is_public=none&sort_key=id&sort_dir=asc&limit=${pageSize}${marker === undefined ? '' : `&marker=${marker}`}`;
      const response = await this.#send(context, { method: 'GET', path: `/v1/images/detail?${page}` });
      const { images: found } = (await response.json()) as { images: Record<string, unknown>[] };
      images.push(...found.map((raw) => readImage(raw, jsonProperties(raw))));
      if (found.length < pageSize) break;
    }
    return images.filter((image) => isVisible(context, image)).sort((a, b) => Number(a.id) - Number(b.id));
  }

  async show(context: Context, id: string): Promise<Image> {
    const response = await this.#send(context, { method: 'HEAD', path: imagePath(id) }, id);
    return this.#visible(context, id, fromHeaders(response));
  }

  async showByName(context: Context, name: string): Promise<Image> {
    const image = (await this.detail(context)).find((candidate) => candidate.name === name);
    if (image === undefined) throw new ImageNotFound(name);
    return image;
  }

  async download(context: Context, id: string): Promise<Body> {
    const response = await this.#send(context, { method: 'GET', path: imagePath(id) }, id);
    this.#visible(context, id, fromHeaders(response));
    return response.body ?? new Blob([]).stream();
  }

  async create(context: Context, fields: ImageFields, data?: Body): Promise<Image> {
    const response = await this.#send(context, {
      method: 'POST',
      path: '/v1/images',
      headers: fieldHeaders(fields),
      ...(data && { body: data }),
    });
    return readAnswer(await response.json());
  }

  async update(context: Context, id: string, fields: ImageFields, data?: Body): Promise<Image> {
    const old = await this.show(context, id);
    // A PUT replaces the whole set of properties, so the ones which stay are sent again.
    const properties = { ...old.properties, ...(fields.properties ?? {}) };
    const response = await this.#send(
      context,
      {
        method: 'PUT',
        path: imagePath(id),
        headers: fieldHeaders({ ...fields, properties }),
        ...(data && { body: data }),
      },
      id,
    );
    return readAnswer(await response.json());
  }

  async delete(context: Context, id: string): Promise<void> {
    await this.show(context, id);
    await this.#send(context, { method: 'DELETE', path: imagePath(id) }, id);
  }

  #visible(context: Context, id: string, image: Image): Image {
    if (!isVisible(context, image)) throw new ImageNotFound(id);
    return image;
  }

  /** Sends to one server, chosen at random; to the others in turn when it can't be reached and nothing was sent yet. */
  async #send(context: Context, request: Request, id?: string): Promise<Answer> {
    const servers = [...this.runtime.flags.glance_api_servers];
    const start = servers.length > 1 ? this.runtime.random.below(servers.length) : 0;
    const order = [...servers.slice(start), ...servers.slice(0, start)];
    let reason = 'the flag --glance_api_servers names none';
    for (const server of order) {
      try {
        return await this.#sendTo(server, context, request, id);
      } catch (error) {
        if (!(error instanceof ImageServiceUnavailable)) throw error;
        reason = error.message;
        if (request.body !== undefined) break;
      }
    }
    throw new ImageServiceUnavailable(reason);
  }

  async #sendTo(server: string, context: Context, request: Request, id?: string): Promise<Answer> {
    const headers: Record<string, string> = { ...request.headers };
    if (context.strategy === 'keystone' && context.authToken !== null) headers['x-auth-token'] = context.authToken;
    if (request.body !== undefined) headers['content-type'] = 'application/octet-stream';
    const response =
      request.method === 'HEAD' && server === this.own?.server
        ? await this.#askHere(this.own.door, request.path, headers)
        : await this.#ask(server, request, headers);
    if (response.ok) return response;
    const text = request.method === 'HEAD' ? '' : (await response.text()).slice(0, 300);
    switch (response.status) {
      case 401:
      case 403:
        throw new NotAuthorized();
      case 404:
        throw new ImageNotFound(id ?? request.path);
      case 409:
        throw new Duplicate(text);
      case 400:
        throw new Invalid(text);
      default:
        throw new ImageServiceUnavailable(`The image registry at ${server} answered ${response.status}: ${text}`);
    }
  }

  async #ask(server: string, request: Request, headers: Record<string, string>): Promise<Answer> {
    const abort = new AbortController();
    const timer = this.runtime.after(timeoutMs, () => abort.abort(new Error(`no answer within ${timeoutMs / 1000} s`)));
    try {
      const init: RequestInit & { duplex?: 'half' } = {
        method: request.method,
        headers,
        redirect: 'error',
        signal: abort.signal,
      };
      if (request.body !== undefined) Object.assign(init, { body: request.body, duplex: 'half' });
      return await this.runtime.fetch(`http://${server}${request.path}`, init);
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      throw new ImageServiceUnavailable(`The image registry at ${server} cannot be reached: ${errorText(cause)}`);
    } finally {
      timer.cancel();
    }
  }

  async #askHere(door: HttpDoor, path: string, headers: Record<string, string>): Promise<Answer> {
    const sent = { method: 'HEAD', url: path, headers, remoteAddress: '127.0.0.1', body: Buffer.alloc(0) };
    const { status, headers: answered } = await this.runtime.outside(() => door.handle(sent));
    return {
      ok: status >= 200 && status < 300,
      status,
      // as they would come out of a socket
      headers: Object.entries(answered).map(([name, value]) => [name, value.replace(/^[ \t]+|[ \t]+$/g, '')] as const),
      body: null,
      text: () => Promise.resolve(''),
      json: () => Promise.resolve(null),
    };
  }
}

/** The image service which the flag image_service names. Throws StartupError for one that doesn't exist. */
export function createImageService(runtime: Runtime, own: OwnRegistry | null = null): ImageService {
  const name = runtime.flags.image_service;
  if (!['nova.image.glance.GlanceImageService', 'nova.image.s3.S3ImageService'].includes(name)) {
    throw new StartupError(
      `--image_service=${name} is not available; the value which works is nova.image.glance.GlanceImageService`,
    );
  }
  return new GlanceImageService(runtime, own);
}

/** Who sees an image (nova 2011.3, nova/image/glance.py _is_image_available). */
function isVisible(context: Context, image: Image): boolean {
  if (context.strategy === 'keystone' && context.authToken !== null) return true;
  if (image.is_public || context.isAdmin) return true;
  const { project_id: project, user_id: user } = image.properties;
  if (project !== undefined) return project !== null && project === context.projectId;
  return user != null && user === context.userId;
}

function imagePath(id: string): string {
  return `/v1/images/${encodeURIComponent(id)}`;
}

function fromHeaders(response: Answer): Image {
  const { meta, properties } = readImageHeaders(response.headers);
  return readImage(meta, properties);
}

function readAnswer(answer: unknown): Image {
  const raw = (answer as { image: Record<string, unknown> }).image;
  return readImage(raw, jsonProperties(raw));
}

function jsonProperties(raw: Readonly<Record<string, unknown>>): Record<string, string | null> {
  const properties = (raw['properties'] ?? {}) as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(properties).map(([key, value]) => [key, value === null ? null : String(value)]),
  );
}

import { Invalid } from './errors.js';

/** The ten `_context_*` keys of a message, exactly (nova 2011.3, nova/context.py). An eleventh kills Python consumers. */
export interface WireContext {
  _context_user_id: string | null;
  _context_project_id: string | null;
  _context_is_admin: boolean;
  _context_read_deleted: boolean;
  _context_roles: string[];
  _context_remote_address: string | null;
  /** `YYYY-MM-DDTHH:MM:SS.ffffff`, UTC, no zone suffix. */
  _context_timestamp: string;
  _context_request_id: string;
  _context_auth_token: string | null;
  _context_strategy: string;
}

export interface ContextFields {
  userId: string | null;
  projectId: string | null;
  isAdmin: boolean;
  readDeleted: boolean;
  roles: readonly string[];
  remoteAddress: string | null;
  /** As on the wire: `YYYY-MM-DDTHH:MM:SS.ffffff`. */
  timestamp: string;
  /** UUID4 with dashes; kept across nested calls. */
  requestId: string;
  authToken: string | null;
  strategy: string;
}

/** Who asks for what, and under which request id. Travels with every message; immutable. */
export class Context implements ContextFields {
  readonly userId!: string | null;
  readonly projectId!: string | null;
  readonly isAdmin!: boolean;
  readonly readDeleted!: boolean;
  readonly roles!: readonly string[];
  readonly remoteAddress!: string | null;
  readonly timestamp!: string;
  readonly requestId!: string;
  readonly authToken!: string | null;
  readonly strategy!: string;

  constructor(fields: ContextFields) {
    Object.assign(this, fields);
  }

  /** The same caller with administrator's rights. */
  elevated(): Context {
    return this.isAdmin ? this : new Context({ ...this, isAdmin: true });
  }

  /** The project of a caller who must have one. Throws Invalid for a daemon's own context. */
  requireProject(): string {
    if (this.projectId === null) throw new Invalid('The request names no project');
    return this.projectId;
  }

  toWire(): WireContext {
    return {
      _context_user_id: this.userId,
      _context_project_id: this.projectId,
      _context_is_admin: this.isAdmin,
      _context_read_deleted: this.readDeleted,
      _context_roles: [...this.roles],
      _context_remote_address: this.remoteAddress,
      _context_timestamp: this.timestamp,
      _context_request_id: this.requestId,
      _context_auth_token: this.authToken,
      _context_strategy: this.strategy,
    };
  }

  /**
   * Reads the context out of a message body. Keys it does not know are ignored and missing ones get the value of a
   * daemon's own context without administrator's rights, so that no foreign publisher can stop a consumer.
   */
  static fromWire(
    body: Readonly<Record<string, unknown>>,
    fallback: { timestamp: string; requestId: string },
  ): Context {
    const text = (key: string): string | null => {
      const value = body[`_context_${key}`];
      return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : null;
    };
    const roles = body['_context_roles'];
    return new Context({
      userId: text('user_id'),
      projectId: text('project_id'),
      isAdmin: body['_context_is_admin'] === true,
      readDeleted: body['_context_read_deleted'] === true,
      roles: Array.isArray(roles) ? roles.filter((role): role is string => typeof role === 'string') : [],
      remoteAddress: text('remote_address'),
      timestamp: text('timestamp') ?? fallback.timestamp,
      requestId: text('request_id') ?? fallback.requestId,
      authToken: text('auth_token'),
      strategy: text('strategy') ?? 'noauth',
    });
  }
}

/** What {@link adminContext} needs of a runtime. */
interface TimeAndIds {
  clock: { now(): number };
  random: { uuid(): string };
}

/** The context of a daemon's own work: administrator, no user, no project (nova/context.py get_admin_context). */
export function adminContext(runtime: TimeAndIds): Context {
  return new Context({
    userId: null,
    projectId: null,
    isAdmin: true,
    readDeleted: false,
    roles: [],
    remoteAddress: null,
    timestamp: wireTime(runtime.clock.now()),
    requestId: runtime.random.uuid(),
    authToken: null,
    strategy: 'noauth',
  });
}

/** Milliseconds since the epoch as a context timestamp: `YYYY-MM-DDTHH:MM:SS.ffffff`. */
export function wireTime(ms: number): string {
  // eslint-disable-next-line no-restricted-syntax -- formats a given time, reads no clock
  return `${new Date(ms).toISOString().slice(0, 23)}000`;
}

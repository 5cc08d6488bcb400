import { StartupError } from '../errors.js';
import type { DialectName } from './db.js';

/** Where the flag sql_connection points. */
export interface DatabaseUrl {
  readonly dialect: DialectName;
  /** SQLite: the file's path as given (relative ones are relative to the working directory), or `:memory:`. */
  readonly database: string;
  readonly host: string;
  /** Undefined: the dialect's own. */
  readonly port: number | undefined;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** A unix socket: PostgreSQL's folder or MySQL's file. */
  readonly socket: string | undefined;
  /** The URL with `***` in place of the password, for logs and errors. */
  readonly shown: string;
}

const dialects: Readonly<Record<string, DialectName>> = {
  sqlite: 'sqlite',
  postgresql: 'postgresql',
  postgres: 'postgresql',
  mysql: 'mysql',
  mariadb: 'mysql',
};

/**
 * Parses a SQLAlchemy URL (`sqlalchemy.engine.url` 0.6/0.7): `dialect[+driver]://[user[:password]@][host][:port]/name`
 * with `?charset=`, `?host=` (PostgreSQL, a socket's folder) and `?unix_socket=` (MySQL). The password is percent- and
 * plus-decoded, the user is not. Throws StartupError, which never has the password.
 */
export function parseDatabaseUrl(text: string): DatabaseUrl {
  const scheme = /^(\w+)(?:\+\w+)?:\/\//.exec(text);
  const dialect = scheme === null ? undefined : dialects[scheme[1]!.toLowerCase()];
  if (scheme === null || dialect === undefined) {
    const shown = scheme === null ? 'has no scheme' : `has the scheme ${scheme[1]}`;
    throw new StartupError(
      `--sql_connection ${shown}; use sqlite:///<path>, postgresql://<user>:<password>@<host>/<database> or mysql://<user>:<password>@<host>/<database>`,
    );
  }
  const rest = text.slice(scheme[0].length);
  return dialect === 'sqlite' ? sqliteUrl(rest) : serverUrl(dialect, scheme[0], rest);
}

function sqliteUrl(rest: string): DatabaseUrl {
  const path = rest.split('?')[0]!;
  if (path !== '' && !path.startsWith('/')) {
    throw new StartupError(
      `--sql_connection=sqlite://${path}: a relative path needs three slashes (sqlite:///${path}), an absolute one four`,
    );
  }
  const database = path.slice(1) === '' ? ':memory:' : path.slice(1);
  const empty = { host: '', port: undefined, user: undefined, password: undefined, socket: undefined };
  return { dialect: 'sqlite', database, ...empty, shown: `sqlite:///${database}` };
}

/** SQLAlchemy's rule is the first: a password with `@` but without `/`. The second takes one with `/`. */
const serverForms = [/[^/]*/, /[^@]*/].map(
  (password) =>
    new RegExp(
      `^(?:([^:@/]*)(?::(${password.source}))?@)?(?:\\[([^\\]]+)\\]|([^:/?]*))(?::(\\d+))?(?:/([^?]*))?(?:\\?(.*))?$`,
    ),
);

function serverUrl(dialect: DialectName, scheme: string, rest: string): DatabaseUrl {
  const match = serverForms[0]!.exec(rest) ?? serverForms[1]!.exec(rest);
  if (match === null) {
    throw new StartupError(
      `--sql_connection is not a URL of the form ${scheme}<user>:<password>@<host>[:<port>]/<database>; in the password write / @ and % as %2F, %40 and %25`,
    );
  }
  const [, user, password, host6, hostName, port, database] = match;
  const query = new URLSearchParams(match[7] ?? '');
  if (!database) throw new StartupError(`--sql_connection names no database (${scheme}…/<database>)`);
  const host = query.get('host') ?? host6 ?? hostName ?? '';
  const socket = query.get('unix_socket') ?? (host.startsWith('/') ? host : undefined);
  const place = `${socket === undefined ? host || 'localhost' : ''}${port === undefined ? '' : `:${port}`}`;
  return {
    dialect,
    database,
    host: host === '' || socket !== undefined ? 'localhost' : host,
    port: Number(query.get('port') ?? port ?? NaN) || undefined,
    user: user === '' ? undefined : user,
    password: password === undefined ? undefined : decodePassword(password),
    socket,
    shown: `${scheme}${user ? `${user}${password === undefined ? '' : ':***'}@` : ''}${place}/${database}${socket === undefined ? '' : ` (socket ${socket})`}`,
  };
}

/** As Python's urllib.unquote_plus: a malformed escape stays as it is. */
function decodePassword(text: string): string {
  const bytes: Buffer[] = [];
  for (const part of text.replaceAll('+', ' ').split(/(%[0-9a-f]{2})/i)) {
    bytes.push(/^%[0-9a-f]{2}$/i.test(part) ? Buffer.from(part.slice(1), 'hex') : Buffer.from(part, 'utf8'));
  }
  return Buffer.concat(bytes).toString('utf8');
}

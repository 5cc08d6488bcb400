import { NovaError, RemoteError, errorText } from '../../common/errors.js';

/** The row changed while its work ran: the instance is deleted, or is another daemon's now. Nothing more may be written. */
export class ClaimLost extends NovaError {
  constructor(name: string) {
    super(`${name} is not this daemon's to change any more`);
  }
}

/** What went wrong, for the eyes of the instance's owner: one line, without a remote traceback, without `secrets`. */
export function reasonOf(error: unknown, what: string, secrets: readonly (string | null | undefined)[] = []): string {
  return `${what}: ${lineOf(error, secrets)}`;
}

/** The first line of an error's text, without `secrets`. */
export function lineOf(error: unknown, secrets: readonly (string | null | undefined)[] = []): string {
  const text = error instanceof RemoteError ? error.value : errorText(error);
  const line = text.split('\n', 1)[0] ?? '';
  return withoutTexts(line || 'unknown error', secrets);
}

function withoutTexts(text: string, secrets: readonly (string | null | undefined)[]): string {
  return secrets.reduce<string>((clean, secret) => (secret ? clean.replaceAll(secret, '***') : clean), text);
}

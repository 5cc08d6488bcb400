import { Readable } from 'node:stream';
import { errorText } from '../common/errors.js';
import type { DoorResponse } from '../common/http/door.js';
import type { Runtime } from '../common/runtime/runtime.js';
import { documentHead, errorDocument } from './documents.js';
import { badRequest, S3Refusal } from './refusal.js';

export const xml = { 'content-type': 'application/xml; charset=UTF-8' };
export const page = (body: string): DoorResponse => ({ status: 200, headers: xml, body });

/** Milliseconds after which a client which waits for an answer gets a blank of it, and again. */
const patienceMs = 10_000;

/**
 * The answer to work which may take long. As in S3 it then begins with status 200 and blanks, so that nobody on the way
 * takes the connection for dead, and its document says whether the work failed. Throws what the work throws before that.
 */
export async function inTime(runtime: Runtime, work: Promise<string>): Promise<DoorResponse> {
  const first = await within(runtime, work);
  if (first !== null) return page(first);
  return { status: 200, headers: xml, body: Readable.from(slowly(runtime, work), { objectMode: false }) };
}

async function* slowly(runtime: Runtime, work: Promise<string>): AsyncGenerator<string> {
  yield documentHead;
  const answered = work.catch((error: unknown) => failure(runtime, error, '').document);
  for (;;) {
    const document = await within(runtime, answered);
    if (document !== null) {
      yield document.slice(documentHead.length);
      return;
    }
    yield ' ';
  }
}

/** What the work answers; null when it takes longer than the client should wait. */
async function within(runtime: Runtime, work: Promise<string>): Promise<string | null> {
  let timer;
  const late = new Promise<null>((resolve) => (timer = runtime.after(patienceMs, () => resolve(null))));
  try {
    return await Promise.race([work, late]);
  } finally {
    timer!.cancel();
  }
}

/** The answer to what went wrong, and a line in the log where it is our fault. */
export function failure(runtime: Runtime, error: unknown, resource: string): { status: number; document: string } {
  const { status, code, message } = refusalOf(error);
  if (status >= 500 && code !== 'NotImplemented') {
    runtime.log.logger('nova.objectstore').error(`A request failed: ${errorText(error)}`, error);
  }
  return { status, document: errorDocument(code, message, resource, runtime.random.uuid()) };
}

function refusalOf(error: unknown): { status: number; code: string; message: string } {
  if (error instanceof S3Refusal) return error;
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return { status: 503, code: 'ServiceUnavailable', message: 'There is no space left for the object' };
  }
  const brokeOff = (code === 'ECONNRESET' && syscall === undefined) || code === 'ERR_STREAM_PREMATURE_CLOSE';
  if (brokeOff) return badRequest('IncompleteBody', 'The request broke off');
  return { status: 500, code: 'InternalError', message: 'We encountered an internal error. Please try again.' };
}

/* eslint-disable no-restricted-imports -- appends and reopens, which runtime.files cannot; a log outlives its runtime */
import { chmodSync, closeSync, fstatSync, openSync, write, writeSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { StartupError, errorText } from '../errors.js';
import type { Clock } from '../runtime/runtime.js';
import type { Sink } from './sink.js';

const writeAsync = promisify(write);

/** Characters which may wait for a slow disk; more are dropped. */
const bufferLimit = 4 * 1024 * 1024;
/** Milliseconds between two looks whether somebody moved the file away. */
const rotationCheckMs = 1000;

/**
 * Appends to a file. Lines which come while a write is under way go out with the next one. The file is opened anew after
 * {@link reopen} and when its name no longer stands for it (logrotate without a signal). While the disk is full lines
 * are dropped; how many is written once it has room. Throws StartupError when it cannot be opened to begin with.
 */
export class FileSink implements Sink {
  readonly #path: string;
  readonly #mode: number;
  readonly #clock: Clock;
  #fd: number;
  #waiting = '';
  #lost = 0;
  #writing: Promise<void> | null = null;
  #reopenAsked = false;
  #checkedAt: number;
  #closed = false;

  constructor(path: string, mode: number, clock: Clock) {
    this.#path = path;
    this.#mode = mode;
    this.#clock = clock;
    this.#checkedAt = clock.now();
    try {
      this.#fd = this.#open();
    } catch (error) {
      throw new StartupError(`The log file ${path} cannot be written: ${errorText(error)}`);
    }
  }

  write(text: string): void {
    if (this.#closed || this.#waiting.length + text.length > bufferLimit) {
      this.#lost += 1;
      return;
    }
    this.#waiting += text;
    this.#writing ??= this.#drain();
  }

  reopen(): void {
    this.#reopenAsked = true;
    if (!this.#closed) this.#writing ??= this.#drain();
  }

  flushSync(): void {
    if (this.#closed || this.#waiting === '') return;
    const text = this.#waiting;
    this.#waiting = '';
    try {
      writeSync(this.#fd, text);
    } catch {
      this.#lost += countLines(text);
    }
  }

  async close(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
  }

  /** Writes until nothing waits. */
  async #drain(): Promise<void> {
    // A turn of the event loop's microtasks gathers the lines of one piece of work into one write.
    await Promise.resolve();
    while (this.#waiting !== '' || this.#reopenAsked) {
      await this.#followRotation();
      const lost = this.#lost;
      const note = lost > 0 ? `${lost} log lines were lost before this one\n` : '';
      const text = note + this.#waiting;
      this.#waiting = '';
      if (text === '') continue;
      try {
        await writeFully(this.#fd, Buffer.from(text));
        this.#lost -= lost;
      } catch {
        this.#lost += countLines(text) - (note === '' ? 0 : 1);
      }
    }
    this.#writing = null;
  }

  async #followRotation(): Promise<void> {
    const now = this.#clock.now();
    const due = now - this.#checkedAt >= rotationCheckMs;
    if (!this.#reopenAsked && !due) return;
    this.#checkedAt = now;
    const moved = this.#reopenAsked || (await this.#movedAway());
    this.#reopenAsked = false;
    if (!moved) return;
    try {
      const fresh = this.#open();
      closeSync(this.#fd);
      this.#fd = fresh;
    } catch {
      // No new file (a full disk, a folder gone): the old one is better than none.
    }
  }

  async #movedAway(): Promise<boolean> {
    try {
      return (await stat(this.#path)).ino !== fstatSync(this.#fd).ino;
    } catch {
      return true;
    }
  }

  #open(): number {
    const fd = openSync(this.#path, 'a', this.#mode);
    try {
      chmodSync(this.#path, this.#mode);
    } catch {
      // The file is somebody else's, yet we may write it.
    }
    return fd;
  }
}

async function writeFully(fd: number, content: Buffer): Promise<void> {
  let offset = 0;
  while (offset < content.length) {
    const { bytesWritten } = await writeAsync(fd, content, offset, content.length - offset, null);
    offset += bytesWritten;
  }
}

function countLines(text: string): number {
  return text.split('\n').length - 1;
}

/** Where lines go. Writing never throws and never waits; what cannot be written is lost, and counted. */
export interface Sink {
  /** Takes text which ends in a newline. */
  write(text: string): void;
  /** Opens its file anew. */
  reopen(): void;
  /** Writes out what waits, at once: the process is about to end. */
  flushSync(): void;
  /** Writes out what waits and lets go of the file. */
  close(): Promise<void>;
}

/** Writes to a stream of the process, such as stderr. */
export class StreamSink implements Sink {
  readonly #stream: NodeJS.WritableStream;

  constructor(stream: NodeJS.WritableStream) {
    this.#stream = stream;
    // A reader who went away (EPIPE) must not end the daemon.
    stream.on('error', () => undefined);
  }

  write(text: string): void {
    this.#stream.write(text);
  }
  reopen(): void {}
  flushSync(): void {}
  async close(): Promise<void> {}
}

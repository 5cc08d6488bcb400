import { MemoryFiles } from './memoryFiles.js';

/** A machine on which daemons run, and what outlives them: files, packet filters, network addresses, the clock. */
export class SimulatedHost {
  readonly files = new MemoryFiles();
  /** Milliseconds by which the clock is wrong. */
  clockError = 0;
  /** It burnt down: no daemon comes back here. */
  lost = false;
  /** By machine: the traffic which its packet filter lets in, as a text. */
  readonly filters = new Map<string, string>();
  /** The fixed address to which the traffic for each floating one goes. */
  readonly forwards = new Map<string, string>();

  constructor(readonly name: string) {}
}

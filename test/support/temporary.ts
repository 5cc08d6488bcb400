import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let root: string | undefined;

/**
 * Makes a folder which only its owner reads, and which goes with this process at the latest: most tests need theirs for
 * longer than any one of their hooks could tell.
 */
export function temporaryFolder(what: string): string {
  if (root === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'nova-tests-'));
    // Servers which run as somebody else have folders of theirs in it.
    chmodSync(made, 0o711);
    process.once('exit', () => rmSync(made, { recursive: true, force: true, maxRetries: 3 }));
    root = made;
  }
  return mkdtempSync(join(root, `${what}-`));
}

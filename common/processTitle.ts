import { shownCommandLine } from './flags/commandLine.js';

/**
 * Takes secrets out of what `ps` shows of this process: those which were given as flags, and those which `tail`, the last
 * words of the command line as everybody may see them, doesn't show. Until a program has come to call this they are seen.
 */
export function hideSecrets(tail: readonly string[] = []): void {
  const words = [process.argv0, ...process.execArgv, ...process.argv.slice(1)];
  const masked = [...words.slice(0, words.length - tail.length), ...tail];
  const shown = shownCommandLine(masked);
  if (shown.some((word, index) => word !== words[index])) process.title = shown.join(' ');
}

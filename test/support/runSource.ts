import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { projectRoot } from '../../common/projectRoot.js';

/** What bin/launch.cjs does, from the sources: runs the main module of the program named first. */
const [binary = '', ...args] = process.argv.slice(2);
process.argv = [process.argv[0]!, join(projectRoot(), 'bin', binary), ...args];
const { main } = (await import(pathToFileURL(join(projectRoot(), binary, 'main.ts')).href)) as {
  main?: (argv: string[]) => Promise<number>;
};
if (main !== undefined) process.exitCode = await main(args);

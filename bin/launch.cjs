'use strict';
const { existsSync } = require('node:fs');
const { basename, join } = require('node:path');
const { pathToFileURL } = require('node:url');

/**
 * Runs a program's built main module, `<folder>/main.js` below dist/. A module which exports `main(argv)` answers its
 * exit status; the others run from their import.
 */
module.exports = async function launch(folder) {
  const name = basename(process.argv[1] ?? folder);
  if (Number(process.versions.node.split('.')[0]) < 20) {
    process.stderr.write(`${name}: Node.js 20 or newer is needed, this is ${process.versions.node}\n`);
    process.exit(1);
  }
  const entry = join(__dirname, '..', 'dist', folder, 'main.js');
  if (!existsSync(entry)) {
    process.stderr.write(`${name}: the program is not built; run \`npm run build\` in ${join(__dirname, '..')}\n`);
    process.exit(1);
  }
  // Whoever read the output has left (`… | head`): no reason to break off what is being done.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
  const { main } = await import(pathToFileURL(entry).href);
  if (typeof main === 'function') process.exitCode = await main(process.argv.slice(2));
};

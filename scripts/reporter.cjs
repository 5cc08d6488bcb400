'use strict';
const Mocha = require('mocha');

/** Mocha's spec reporter, and at the end each skipped test by name and `N passed, N failed` alone on the last line. */
module.exports = class Reporter extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const skipped = [];
    runner.on('pending', (test) => skipped.push(test.fullTitle()));
    runner.once('end', () => {
      for (const title of skipped) console.log(`skipped: ${title}`);
      const { passes = 0, failures = 0 } = runner.stats ?? {};
      const tail = skipped.length > 0 ? `, ${skipped.length} skipped` : '';
      console.log(`\n${passes} passed, ${failures} failed${tail}`);
    });
  }
};

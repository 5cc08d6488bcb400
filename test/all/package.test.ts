import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../common/projectRoot.js';

describe('the packed package', () => {
  it('holds the main module of every program which it puts on the PATH, and no tests', function () {
    this.timeout(60_000);
    const root = projectRoot();
    const listing = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [{ files }] = JSON.parse(listing) as [{ files: { path: string }[] }];
    const paths = files.map(({ path }) => path);
    const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { bin: Record<string, string> };
    for (const [program, file] of Object.entries(bin)) {
      expect(paths).to.include(file).and.to.include(`dist/${program}/main.js`);
    }
    expect(paths).to.include.members([
      'etc/nova.conf.sample',
      'etc/systemd/nova-compute.service',
      'LICENSE',
      'README.md',
    ]);
    expect(paths.filter((path) => path.startsWith('dist/test/') || path.endsWith('.ts'))).to.deep.equal([]);
  });
});

// The folder of somebody who uses the package: it has what npm publishes, and nothing else of this folder.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/**
 * A folder in which the package is installed, and others beside it. Does what `npm install` does, without a network: it
 * has the packed files, and the packages that they need.
 */
export function newFolder(others) {
  const folder = mkdtempSync(join(tmpdir(), 'orders-'));
  const pack = ['pack', '--json', '--offline', '--no-update-notifier', '--ignore-scripts'];
  pack.push('--pack-destination', folder);
  const [{ filename, files }] = JSON.parse(execFileSync(process.env.SIGNET_NPM, pack, { cwd: root, encoding: 'utf8' }));
  const expected = /^((src|types)\/[\w.]+|package\.json|README\.md|LICENSE-(MIT|APACHE))$/;
  assert.deepEqual(files.map((file) => file.path).filter((path) => !expected.test(path)), []);
  const home = join(folder, 'node_modules', '@signet', 'verify');
  mkdirSync(home, { recursive: true });
  execFileSync('tar', ['-xzf', join(folder, filename), '-C', home, '--strip-components', '1']);
  const { dependencies } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  for (const name of [...Object.keys(dependencies), ...others]) {
    symlinkSync(realpathSync(join(root, 'node_modules', name)), join(folder, 'node_modules', name));
  }
  return folder;
}

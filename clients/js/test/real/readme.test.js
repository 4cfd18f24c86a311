// The first page of README, carried out: an empty folder, the packed package, and the commands as they stand there.
// Only addresses, the user, and the place that npm installs from are others.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { until } from '../support/verifier.js';
import { password, url, users } from './signet.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The code blocks of the section with this heading. */
function blocks(heading) {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const section = readme.split(/^## /m).find((text) => text.startsWith(`${heading}\n`));
  return [...section.matchAll(/```(\w+)\n([^]*?)```/g)].map(([, language, code]) => ({ language, code }));
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Does what `npm install` does, without a network: the packed files, and the packages that they and the page need. */
function install(folder) {
  const pack = ['pack', '--json', '--offline', '--no-update-notifier', '--ignore-scripts'];
  pack.push('--pack-destination', folder);
  const [{ filename, files }] = JSON.parse(execFileSync(process.env.SIGNET_NPM, pack, { cwd: root, encoding: 'utf8' }));
  const expected = /^((src|types)\/[\w.]+|package\.json|README\.md|LICENSE-(MIT|APACHE))$/;
  assert.deepEqual(files.map((file) => file.path).filter((path) => !expected.test(path)), []);
  const home = join(folder, 'node_modules', '@signet', 'verify');
  mkdirSync(home, { recursive: true });
  execFileSync('tar', ['-xzf', join(folder, filename), '-C', home, '--strip-components', '1']);
  const { dependencies } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  for (const name of [...Object.keys(dependencies), 'express']) {
    symlinkSync(realpathSync(join(root, 'node_modules', name)), join(folder, 'node_modules', name));
  }
}

test('from an empty folder to a protected route', async (t) => {
  const [createUser, makeFolder, server, calls] = blocks('From an empty folder to a protected route');
  assert.match(createUser.code, /^echo '(.*)' \| signet users create/);
  assert.deepEqual(makeFolder.code.split('\n').slice(0, 3), [
    'mkdir orders && cd orders', 'npm init --yes', 'npm install --install-links ../signet/clients/js express',
  ]);
  const folder = mkdtempSync(join(tmpdir(), 'orders-'));
  t.after(() => rmSync(folder, { recursive: true }));
  install(folder);

  const port = await freePort();
  const orders = `http://127.0.0.1:${port}/orders`;
  const here = (text) => text
    .replaceAll('http://127.0.0.1:8000', url)
    .replaceAll('127.0.0.1:3000', `127.0.0.1:${port}`)
    .replaceAll('listen(3000)', `listen(${port})`)
    .replaceAll('you@example.org', users[4])
    .replaceAll('correct horse battery staple', password)
    // A second is enough, but not on a machine that is busy with other tests.
    .replace('sleep 1', `while curl -sf ${orders} -H "authorization: Bearer $token" >/dev/null; do sleep 0.05; done`);
  writeFileSync(join(folder, 'server.mjs'), here(server.code));
  const program = spawn(process.execPath, ['server.mjs'], { cwd: folder, stdio: 'inherit' });
  t.after(() => program.kill());
  const answers = () => fetch(`http://127.0.0.1:${port}/`).then(() => true, () => false);
  await until('the server listens', answers);

  const output = execFileSync('sh', ['-e', '-u', '-c', here(calls.code)], { cwd: folder, encoding: 'utf8' });
  const statuses = [...output.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));
  const promised = [...calls.code.matchAll(/# (\d{3})/g)].map(([, status]) => Number(status));
  assert.deepEqual(promised, [401, 200, 401]);
  assert.deepEqual(statuses, promised, output);
  assert.match(output, /^www-authenticate: Bearer\r?$/im);
  assert.match(output, /"orders":\[\]/);
  assert.match(output, /^www-authenticate: Bearer error="invalid_token", error_description=".* revoked"/im);
});

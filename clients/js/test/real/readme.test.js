// The first page of README, carried out: an empty folder, the packed package, and the commands as they stand there.
// Only addresses, the user, and the place that npm installs from are others.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { until } from '../support/verifier.js';
import { freePort, newFolder, root } from './newcomer.js';
import { password, url, users } from './signet.js';

/** The code blocks of the section with this heading. */
function blocks(heading) {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const section = readme.split(/^## /m).find((text) => text.startsWith(`${heading}\n`));
  return [...section.matchAll(/```(\w+)\n([^]*?)```/g)].map(([, language, code]) => ({ language, code }));
}

test('from an empty folder to a protected route', async (t) => {
  const [createUser, makeFolder, server, calls] = blocks('From an empty folder to a protected route');
  assert.match(createUser.code, /^echo '(.*)' \| signet users create/);
  assert.deepEqual(makeFolder.code.split('\n').slice(0, 3), [
    'mkdir orders && cd orders', 'npm init --yes', 'npm install --install-links ../signet/clients/js express',
  ]);
  const folder = newFolder(['express']);
  t.after(() => rmSync(folder, { recursive: true }));

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

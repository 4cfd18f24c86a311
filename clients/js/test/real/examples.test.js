// The programs in examples, as they are but for the server, the audience, the port, and a scope that the test can get.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { until } from '../support/verifier.js';
import { freePort, newFolder, root } from './newcomer.js';
import { clientToken, signIn, signOut, url, users } from './signet.js';

/** Calls the handler of a module with each of the tokens that it reads from its arguments, and prints the responses. */
const DRIVER = `
  const [file, ...tokens] = process.argv.slice(1);
  const example = await import(file);
  const params = Promise.resolve({ id: '7' });
  const handle = example.default?.fetch ?? ((request) => example.GET(request, { params }));
  const responses = [];
  for (const token of tokens) {
    const headers = token === '' ? {} : { authorization: 'Bearer ' + token };
    const response = await handle(new Request('http://127.0.0.1/orders', { headers }));
    responses.push([response.status, await response.json()]);
  }
  console.log(JSON.stringify(responses));
  process.exit();
`;

const folder = newFolder(['fastify', 'hono']);
after(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, 'package.json'), '{"type":"module"}');

/** Copies an example into the folder. Returns its path there. */
function copy(name, port = 3000) {
  const text = readFileSync(join(root, 'examples', name), 'utf8')
    .replace(/issuer: '[^']*'/, `issuer: '${url}'`)
    .replace("audience: 'orders'", "audience: 'signet'")
    .replace('orders:read', 'introspect')
    .replace('port: 3000', `port: ${port}`);
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

function call(file, tokens) {
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', DRIVER, file, ...tokens]);
  return JSON.parse(output);
}

test('hono', async () => {
  const [user, program] = [await signIn(users[4]), await clientToken()];
  const [missing, refused, accepted] = call(copy('hono.js'), ['', user.access, program]);
  assert.deepEqual([missing[0], refused[0], refused[1].type], [401, 403, 'insufficient_scope']);
  assert.deepEqual([accepted[0], accepted[1].orders], [200, []]);
});

test('worker', async () => {
  const user = await signIn(users[4]);
  const [missing, accepted] = call(copy('worker.js'), ['', user.access]);
  assert.equal(missing[0], 401);
  assert.deepEqual(accepted, [200, { user: user.claims.sub, orders: [] }]);
});

test('a route of Next.js', async () => {
  const [user, program] = [await signIn(users[4]), await clientToken()];
  const source = copy('route.ts');
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const options = ['--module', 'nodenext', '--target', 'es2022', '--lib', 'es2022,dom', '--types', '--strict'];
  execFileSync(process.execPath, [compiler, ...options, source], { cwd: folder, stdio: 'inherit' });
  const [missing, refused, accepted] = call(source.replace(/ts$/, 'js'), ['', program, user.access]);
  assert.deepEqual([missing[0], refused[0], refused[1].type], [401, 401, 'wrong_subject']);
  assert.deepEqual(accepted, [200, { id: '7', user: user.claims.sub }]);
});

test('fastify', async (t) => {
  const port = await freePort();
  const program = spawn(process.execPath, [copy('fastify.js', port)], { stdio: 'inherit' });
  t.after(() => program.kill());
  const get = (headers) => fetch(`http://127.0.0.1:${port}/orders`, { headers });
  await until('the server listens', () => get({}).then(() => true, () => false));
  const user = await signIn(users[4]);
  const authorization = `Bearer ${user.access}`;
  const refused = await get({ authorization: `Bearer ${await clientToken()}` });
  assert.deepEqual([(await get({})).status, refused.status, (await refused.json()).type], [401, 401, 'wrong_subject']);
  assert.deepEqual(await (await get({ authorization })).json(), { user: user.claims.sub, orders: [] });
  await signOut(user);
  await until('the user is refused', async () => (await get({ authorization })).status === 401);
});

// The session of the pages when several requests find at the same time that it has ended.

import assert from 'node:assert/strict';
import { register } from 'node:module';
import test from 'node:test';

// The names that the page maps to vendored modules.
const vendored = { preact: 'preact', 'preact/hooks': 'hooks', '@preact/signals-core': 'signals-core' };
const vendor = new URL('../../../src/api/pages/vendor/', import.meta.url);
const resolve = `const files = ${JSON.stringify(vendored)};
  export const resolve = (name, context, next) =>
    next(files[name] ? '${vendor}' + files[name] + '.js' : name, context);`;
register(`data:text/javascript,${encodeURIComponent(resolve)}`);

const document = { body: { dataset: {} } };
const browser = { document, navigator: {}, addEventListener() {}, BroadcastChannel: undefined };
for (const [name, value] of Object.entries(browser)) Object.defineProperty(globalThis, name, { value, writable: true });
const { call, session, signIn } = await import('../../../src/api/pages/base/session.js');

const refused = (type) => Response.json({ type }, { status: 401 });

test('a session that has ended is not signed out by a later refusal', async () => {
  // The first refresh removes the cookie, so the second one has none.
  const refreshes = [refused('invalid_refresh_token'), new Response(null, { status: 204 })];
  let respond;
  globalThis.fetch = async (path) => {
    if (path === '/account/session') return Response.json({ access_token: 'token', expires_in: 3600 }, { status: 201 });
    if (path === '/account/session/refresh') return refreshes.shift();
    if (path === '/admin/overview') await new Promise((resolve) => { respond = resolve; });
    return refused('invalid_token');
  };
  await signIn({});
  const overview = call('GET', '/admin/overview');
  await call('GET', '/admin/users');
  assert.equal(session.value, 'ended');
  respond();
  await overview;
  assert.deepEqual([session.value, refreshes.length], ['ended', 0]);
});

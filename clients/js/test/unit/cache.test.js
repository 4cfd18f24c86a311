import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Cache } from '../../src/cache.js';
import { setUp, verdict } from '../support/verifier.js';

test('the least recently used token is dropped', () => {
  const cache = new Cache(2);
  cache.set('a', 1);
  cache.set('b', 2);
  assert.equal(cache.get('a'), 1);
  cache.set('c', 3);
  assert.deepEqual([cache.get('a'), cache.get('b'), cache.get('c')], [1, undefined, 3]);
  cache.set('a', 4);
  assert.deepEqual([cache.size, cache.get('a')], [2, 4]);
  cache.delete('a');
  assert.equal(cache.size, 1);
});

test('long tokens count for their length', () => {
  const cache = new Cache(10_000);
  for (let index = 0; index < 2_000; index += 1) cache.set(`${index}`.padEnd(16_384, 'x'), index);
  assert.equal(cache.size, 1_024);
  assert.equal(cache.get('1999'.padEnd(16_384, 'x')), 1999);
});

test('a cached token costs no cryptography', async (t) => {
  const { signet, verifier } = await setUp(t);
  const tokens = [await signet.token(), await signet.token({ aud: 'other' })];
  for (const token of tokens) await verdict(verifier.verify(token));
  assert.equal(verifier.status().cachedTokens, 1);
  verifier.close();
  const offline = await setUp(t, { feed: 'off' });
  const token = await offline.signet.token();
  await offline.verifier.verify(token);
  const other = await offline.signet.token();
  const verify = t.mock.method(crypto.subtle, 'verify');
  for (let index = 0; index < 10; index += 1) await offline.verifier.verify(token);
  assert.equal(verify.mock.callCount(), 0);
  await offline.verifier.verify(other);
  assert.equal(verify.mock.callCount(), 1);
});

test('a cached token expires', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  signet.clock.stop();
  const exp = Math.floor(signet.clock.now() / 1000) + 60;
  const token = await signet.token({ exp });
  assert.equal(await verdict(verifier.verify(token)), 'valid');
  // Five seconds of leeway.
  signet.clock.advance((exp + 5) * 1000 - 1 - signet.clock.now());
  assert.equal(await verdict(verifier.verify(token)), 'valid');
  signet.clock.advance(1);
  assert.equal(await verdict(verifier.verify(token)), 'expired');
});

test('without a cache tokens are verified each time', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off', cacheSize: 0 });
  const token = await signet.token();
  assert.equal(await verdict(verifier.verify(token)), 'valid');
  assert.equal(await verdict(verifier.verify(token)), 'valid');
  assert.equal(verifier.status().cachedTokens, 0);
});

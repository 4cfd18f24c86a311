import assert from 'node:assert/strict';
import { test } from 'node:test';

import { makeKey } from '../support/signet.js';
import { setUp, verdict } from '../support/verifier.js';

const JWKS = 'jwks.json';
const unreachable = () => Promise.reject(new TypeError('fetch failed'));

test('verifications at the same time fetch the keys once', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  const tokens = await Promise.all(Array.from({ length: 20 }, () => signet.token()));
  await Promise.all(tokens.map((token) => verifier.verify(token)));
  assert.deepEqual([signet.count(JWKS), signet.count('oauth-authorization-server')], [1, 1]);
});

test('an unknown kid fetches the keys again, once', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  await verifier.verify(await signet.token());
  const next = await makeKey('k2');
  signet.keys.push(next);
  signet.clock.advance(1_100);
  const tokens = await Promise.all(Array.from({ length: 20 }, () => signet.token({}, {}, next)));
  await Promise.all(tokens.map((token) => verifier.verify(token)));
  assert.equal(signet.count(JWKS), 2);
});

test('made-up key ids cause one request in ten seconds', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  signet.clock.stop();
  const token = await signet.token();
  await verifier.verify(token);
  signet.clock.advance(1_100);
  for (let index = 0; index < 50; index += 1) {
    assert.equal(await verdict(verifier.verify(await signet.token({}, { kid: `made-up-${index}` }))), 'unknown_key');
  }
  assert.equal(signet.count(JWKS), 2);
  signet.clock.advance(10_000);
  await verdict(verifier.verify(await signet.token({}, { kid: 'made-up' })));
  assert.equal(signet.count(JWKS), 3);
  assert.equal(await verdict(verifier.verify(token)), 'valid');
});

test('an unknown kid is unavailable while the keys cannot be fetched', async (t) => {
  const answers = [unreachable, () => new Response('', { status: 503 }), () => new Response('no JSON')];
  for (const answer of answers) {
    const { signet, verifier } = await setUp(t, { feed: 'off' });
    signet.clock.stop();
    const token = await signet.token();
    await verifier.verify(token);
    const next = await makeKey('k2');
    signet.keys.push(next);
    signet.intercept = answer;
    signet.clock.advance(1_100);
    const before = signet.count(JWKS);
    for (let index = 0; index < 20; index += 1) {
      assert.equal(await verdict(verifier.verify(await signet.token({}, {}, next))), 'unavailable', String(answer));
    }
    assert.equal(signet.count(JWKS), before + 1, 'one attempt in a second');
    assert.equal(await verdict(verifier.verify(token)), 'valid', 'tokens of known keys do not depend on it');
    signet.intercept = undefined;
    signet.clock.advance(1_100);
    assert.equal(await verdict(verifier.verify(await signet.token({}, {}, next))), 'valid');
  }
});

test('a token without a kid is refused at once while the keys cannot be fetched', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  signet.clock.stop();
  await verifier.verify(await signet.token());
  signet.intercept = unreachable;
  signet.clock.advance(1_100);
  const before = signet.count(JWKS);
  assert.equal(await verdict(verifier.verify(await signet.token({}, { kid: undefined }))), 'unknown_key');
  assert.equal(signet.count(JWKS), before);
});

test('a made-up kid is unknown once the keys can be fetched again', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  signet.clock.stop();
  await verifier.verify(await signet.token());
  const madeUp = await signet.token({}, { kid: 'made-up' });
  signet.intercept = unreachable;
  signet.clock.advance(1_100);
  assert.equal(await verdict(verifier.verify(madeUp)), 'unavailable');
  signet.intercept = undefined;
  signet.clock.advance(1_100);
  for (let index = 0; index < 2; index += 1) assert.equal(await verdict(verifier.verify(madeUp)), 'unknown_key');
});

test('keys expire with the max-age of the response, within bounds', async (t) => {
  for (const [header, lifetime] of [['max-age=300', 300], ['max-age=1', 30], ['', 30], ['max-age=999999999', 86_400]]) {
    const { signet, verifier } = await setUp(t, { feed: 'off' });
    signet.clock.stop();
    signet.jwksHeaders = { 'cache-control': header };
    const verify = async () => verifier.verify(await signet.token());
    await verify();
    signet.clock.advance(lifetime * 1000 - 500);
    await verify();
    assert.equal(signet.count(JWKS), 1, header);
    signet.clock.advance(1_000);
    await verify();
    assert.equal(signet.count(JWKS), 2, header);
  }
});

test('a cached token is refused once its key is gone', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  const token = await signet.token();
  await verifier.verify(token);
  signet.keys = [await makeKey('k2')];
  assert.equal(await verdict(verifier.verify(token)), 'valid');
  signet.clock.advance(301_000);
  assert.equal(await verdict(verifier.verify(token)), 'unknown_key');
  // Another key under the same id verifies other tokens.
  signet.keys = [await makeKey('k1')];
  signet.clock.advance(301_000);
  assert.equal(await verdict(verifier.verify(token)), 'bad_signature');
});

test('expired keys stay in use while the server is unreachable', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  signet.clock.stop();
  const claims = { exp: Math.floor(signet.clock.now() / 1000) + 100_000 };
  signet.jwksHeaders = { 'cache-control': 'max-age=300, stale-if-error=600' };
  await verifier.verify(await signet.token(claims));
  signet.intercept = unreachable;
  signet.clock.advance(301_000);
  assert.equal(await verdict(verifier.verify(await signet.token(claims))), 'valid');
  const before = signet.requests.length;
  for (let index = 0; index < 20; index += 1) await verifier.verify(await signet.token(claims));
  assert.equal(signet.requests.length, before, 'requests do not repeat a failure within a second');
  assert.equal(await verdict(verifier.verify(await signet.token(claims, { kid: 'k2' }))), 'unavailable');
  signet.clock.advance(601_000);
  assert.equal(await verdict(verifier.verify(await signet.token(claims))), 'unavailable');
  signet.intercept = undefined;
  signet.clock.advance(1_100);
  assert.equal(await verdict(verifier.verify(await signet.token(claims))), 'valid');
});

test('without keys nothing is verified', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  const token = await signet.token();
  const evil = { issuer: 'https://evil.example', jwks_uri: 'https://evil.example/' };
  const answers = [
    unreachable,
    () => new Response('', { status: 500 }),
    () => new Response('no JSON'),
    () => new Response('', { status: 302, headers: { location: 'https://evil.example/' } }),
    () => new Response('x'.repeat(300_000)),
    (path) => (path.includes('oauth') ? Response.json(evil) : undefined),
  ];
  for (const answer of answers) {
    signet.intercept = answer;
    signet.clock.advance(1_100);
    assert.equal(await verdict(verifier.verify(token)), 'unavailable', String(answer));
  }
  signet.intercept = undefined;
  signet.metadata.jwks_uri = 'http://id.example.org/jwks.json';
  signet.clock.advance(1_100);
  assert.equal(await verdict(verifier.verify(token)), 'unavailable', 'http');
  delete signet.metadata.jwks_uri;
  signet.clock.advance(1_100);
  assert.equal(await verdict(verifier.verify(token)), 'valid');
});

test('the metadata of an issuer with a path', async (t) => {
  const issuer = 'https://example.org/id';
  for (const path of ['/.well-known/oauth-authorization-server/id', '/id/.well-known/oauth-authorization-server']) {
    const { signet, verifier } = await setUp(t, { feed: 'off', issuer });
    signet.metadata.issuer = issuer;
    signet.intercept = (requested) => {
      if (!requested.includes('oauth')) return undefined;
      if (requested !== path) return new Response('', { status: 404 });
      return Response.json({ issuer, jwks_uri: 'https://example.org/.well-known/jwks.json' });
    };
    assert.equal(await verdict(verifier.verify(await signet.token({ iss: issuer }))), 'valid', path);
  }
});

// The cases of clients/vectors, which every verifier of Signet's tokens passes.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { Follower } from '../../src/follower.js';
import { readFrame } from '../../src/frame.js';
import { Http } from '../../src/http.js';
import { createVerifier, VerifyError } from '../../src/index.js';
import { Keys } from '../../src/keys.js';
import { parseToken, verifyToken } from '../../src/token.js';

const read = (name) => readFileSync(new URL(`../../../vectors/${name}`, import.meta.url), 'utf8');
const JWKS = read('keys.json');
const { defaults, tokens } = JSON.parse(read('tokens.json'));
const { key_sets: keySets } = JSON.parse(read('key_sets.json'));
const feed = JSON.parse(read('frames.json'));
const FEED = 'https://id.example.org/feed';

/** The claims under the names of the vectors. */
const named = (claims) => ({
  sub: claims.sub,
  sid: claims.sid ?? null,
  jti: claims.jti ?? null,
  client_id: claims.clientId ?? null,
  scopes: [...claims.scopes].sort(),
  audience: claims.audience,
  email: claims.email ?? null,
  email_verified: claims.emailVerified,
  issued_at: claims.issuedAt ?? null,
  expires_at: claims.expiresAt,
  auth_time: claims.authTime ?? null,
  is_user: claims.isUser,
});

async function verify(token, { issuer, audience, leeway, now, scopes, subject }) {
  const fetch = async (url) => {
    const metadata = { issuer, jwks_uri: `${issuer}/.well-known/jwks.json` };
    return new Response(url.endsWith('/jwks.json') ? JWKS : JSON.stringify(metadata));
  };
  const clock = { now: () => now * 1000, monotonic: () => performance.now() };
  const verifier = createVerifier({ issuer, audience, leeway, feed: 'off', fetch, clock });
  try {
    return { claims: named(await verifier.verify(token, { scopes, subject: subject ?? undefined })) };
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    return { error: error.code };
  } finally {
    verifier.close();
  }
}

test('tokens', async () => {
  assert.ok(tokens.length > 200);
  for (const { name, token, options, expect } of tokens) {
    const result = await verify(token, { ...defaults, ...options });
    if (result.claims && expect.claims) {
      for (const [claim, value] of Object.entries(expect.claims)) assert.deepEqual(result.claims[claim], value, name);
    } else {
      assert.deepEqual(result, expect, name);
    }
  }
});

test('key sets', async () => {
  assert.ok(keySets.length > 40);
  for (const { name, document, keys: expected } of keySets) {
    const discovery = { get: async () => ({ jwks: 'https://id.example.org/jwks.json' }), expire() {} };
    const clock = { now: () => 0, monotonic: () => 0 };
    const keys = new Keys(discovery, new Http(async () => new Response(document)), clock);
    const find = async (kid) => keys.find(kid).then((key) => [[kid, key.algorithms[0]]], () => []);
    const isRead = await keys.load().then(() => true, () => false);
    assert.equal(isRead, expected !== null, name);
    if (!isRead) continue;
    const found = (await Promise.all(['ed', 'ed-2', 'ec', 'small', 'enc', 'rsa'].map(find))).flat();
    assert.deepEqual(Object.fromEntries(found), expected, name);
    assert.equal(keys.size, found.length, name);
  }
});

/** A follower whose documents are those of the current step. */
function follow(errors = []) {
  const state = { documents: {}, monotonic: 0, wall: 0 };
  const clock = { now: () => state.wall, monotonic: () => state.monotonic };
  const fetch = async (url) => {
    if (url.endsWith('/jwks.json')) return new Response(JWKS);
    const frames = state.documents[url.slice(FEED.length + 1)];
    return frames ? new Response(frames.map((frame) => `${frame}\n`).join('')) : new Response('', { status: 410 });
  };
  const discovery = { get: async () => ({ feed: FEED, jwks: 'https://id.example.org/jwks.json' }), expire() {} };
  const http = new Http(fetch);
  const keys = new Keys(discovery, http, clock);
  const onError = (error) => errors.push(error);
  const follower = new Follower({ issuer: feed.issuer, mode: 'live', discovery, keys, http, clock, onError });
  return { state, keys, follower };
}

test('frames', async () => {
  const { keys } = follow();
  assert.ok(feed.frames.length > 50);
  for (const { name, frame, accepted } of feed.frames) {
    const reading = readFrame(frame, feed.issuer, (kid) => keys.find(kid));
    assert.equal(await reading.then(() => true, () => false), accepted, name);
  }
});

test('sequences of responses', async () => {
  assert.ok(feed.sequences.length > 25);
  for (const { name, steps } of feed.sequences) {
    const { state, keys, follower } = follow();
    for (const { expect, ...step } of steps) {
      Object.assign(state, step);
      const where = `${name}, at ${step.monotonic}`;
      const failed = await follower.step().then(() => false, () => true);
      if (expect.error !== undefined) assert.equal(failed, expect.error, where);
      if (expect.epoch !== null) {
        assert.deepEqual([follower.epoch, follower.position], [expect.epoch, expect.position], where);
      }
      if (expect.staleness !== undefined) assert.equal(follower.staleness, expect.staleness, where);
      const revoked = [];
      for (const [token, text] of Object.entries(feed.tokens)) {
        const parts = parseToken(text);
        const { ids } = await verifyToken(text, parts, await keys.find(parts.kid), feed);
        if (follower.revocations.has(ids)) revoked.push(token);
      }
      assert.deepEqual(revoked.sort(), [...expect.revoked].sort(), where);
    }
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createVerifier } from '@signet/verify';

import { TestClock } from '../support/signet.js';
import { until, verdict } from '../support/verifier.js';
import { clientToken, control, signIn, signOut, signOutEverywhere, tokens, url, users } from './signet.js';

function setUp(t, options = {}) {
  const errors = [];
  const onError = (error) => errors.push(error);
  const verifier = createVerifier({ issuer: url, audience: 'signet', onError, ...options });
  t.after(() => verifier.close());
  return { verifier, errors };
}

const becomes = (verifier, token, expected) =>
  until(`the token is ${expected}`, async () => (await verdict(verifier.verify(token))) === expected);

for (const options of [{ feed: 'live' }, { feed: 'poll' }, { background: false }]) {
  test(`a user who signs out is refused: ${JSON.stringify(options)}`, async (t) => {
    const { verifier, errors } = setUp(t, options);
    const [first, second] = [await signIn(users[0]), await signIn(users[0])];
    const claims = await verifier.verify(first.access, { subject: 'user' });
    assert.deepEqual([claims.sub, claims.sid], [first.claims.sub, first.claims.sid]);
    assert.equal(await verdict(verifier.verify(second.access)), 'valid');
    await signOut(first);
    await becomes(verifier, first.access, 'revoked');
    assert.equal(await verdict(verifier.verify(second.access)), 'valid');
    await signOutEverywhere(second);
    await becomes(verifier, second.access, 'revoked');
    assert.equal(await verdict(verifier.verify((await signIn(users[0])).access)), 'valid');
    // A follower that starts now has it from the snapshot.
    const later = setUp(t, options).verifier;
    assert.equal(await verdict(later.verify(second.access)), 'revoked');
    assert.equal(verifier.status().stale, false);
    assert.deepEqual(errors, []);
  });
}

test('only access tokens for this audience are valid', async (t) => {
  const { verifier } = setUp(t);
  const other = setUp(t, { audience: 'other' }).verifier;
  const kinds = new Set();
  for (const { kind, text } of tokens) {
    kinds.add(kind);
    const isAccess = kind === 'Access' || kind === 'Client';
    const result = await verdict(verifier.verify(text));
    if (isAccess) assert.equal(result, 'valid', kind);
    else assert.match(result, /^(malformed|unsupported_algorithm|wrong_type)$/, kind);
    if (isAccess) assert.equal(await verdict(other.verify(text)), 'wrong_audience');
  }
  assert.ok(kinds.size > 6);
});

test('tokens of API keys', async (t) => {
  const { verifier } = setUp(t);
  const token = await clientToken();
  const claims = await verifier.verify(token, { subject: 'client', scopes: ['introspect'] });
  assert.deepEqual([claims.isClient, claims.isUser, claims.sid], [true, false, undefined]);
  assert.ok(claims.clientId);
  assert.equal(await verdict(verifier.verify(token, { subject: 'user' })), 'wrong_subject');
  assert.equal(await verdict(verifier.verify(token, { scopes: ['missing'] })), 'insufficient_scope');
});

/** A verifier whose feed is cut off when `state.isCut` is set. */
function cutOff(t, whenStale) {
  const state = { isCut: false, batches: 0 };
  const clock = new TestClock();
  const cutFetch = async (input, init) => {
    const { pathname } = new URL(input);
    if (pathname === '/verify/batch') state.batches += 1;
    if (state.isCut && pathname.includes('revocations')) throw new TypeError('fetch failed');
    const response = await fetch(input, init);
    if (state.isCut && pathname.includes('revocations')) throw new TypeError('fetch failed');
    return response;
  };
  return { ...setUp(t, { whenStale, clock, fetch: cutFetch }), state, clock };
}

for (const [whenStale, before, after] of [
  ['refuse', 'stale', 'stale'],
  ['allow', 'valid', 'valid'],
  ['ask', 'valid', 'revoked'],
]) {
  test(`without the feed: ${whenStale}`, async (t) => {
    const { verifier, errors, state, clock } = cutOff(t, whenStale);
    const session = await signIn(users[1]);
    assert.equal(await verdict(verifier.verify(session.access)), 'valid');
    state.isCut = true;
    await until('the feed fails', () => errors.length > 0);
    clock.advance(10_500);
    assert.equal(verifier.status().stale, true);
    assert.equal(await verdict(verifier.verify(session.access)), before);
    await signOut(session);
    assert.equal(await verdict(verifier.verify(session.access)), after);
    assert.equal(state.batches, whenStale === 'ask' ? 2 : 0);
    clock.advance(-10_500);
    state.isCut = false;
    await becomes(verifier, session.access, 'revoked');
    assert.equal(await verdict(verifier.verify((await signIn(users[1])).access)), 'valid');
  });
}

test('the server restarts', async (t) => {
  const live = setUp(t);
  const poll = setUp(t, { feed: 'poll' });
  const [first, second, third] = [await signIn(users[3]), await signIn(users[3]), await signIn(users[3])];
  await signOut(first);
  for (const { verifier } of [live, poll]) await becomes(verifier, first.access, 'revoked');
  await control(['restart']);
  for (const { verifier } of [live, poll]) {
    assert.equal(await verdict(verifier.verify(first.access)), 'revoked');
    await becomes(verifier, second.access, 'valid');
  }
  await signOut(second);
  for (const { verifier } of [live, poll]) {
    await becomes(verifier, second.access, 'revoked');
    assert.equal(await verdict(verifier.verify(third.access)), 'valid');
    assert.equal(await verdict(verifier.verify(first.access)), 'revoked');
  }
  assert.ok(live.errors.length > 0, 'the restart was reported');
});

test('a signing key is revoked', async (t) => {
  const { verifier } = setUp(t);
  const before = await signIn(users[2]);
  assert.equal(await verdict(verifier.verify(before.access)), 'valid');
  const { kid } = JSON.parse(Buffer.from(before.access.split('.')[0], 'base64url'));
  await control(['keys', 'revoke', kid]);
  await until('the token is refused', async () =>
    ['revoked', 'unknown_key'].includes(await verdict(verifier.verify(before.access))));
  const after = await signIn(users[2]);
  await becomes(verifier, after.access, 'valid');
  assert.notEqual(await verdict(verifier.verify(before.access)), 'valid');
});

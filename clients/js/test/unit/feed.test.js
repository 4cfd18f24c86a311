import assert from 'node:assert/strict';
import { test } from 'node:test';

import { makeKey, uuidV7 } from '../support/signet.js';
import { setUp, until, verdict } from '../support/verifier.js';

const FEED = '/.well-known/signet-revocations';

/** A verifier that has read the snapshot, and a token of a session. */
async function following(t, options) {
  const set = await setUp(t, options);
  await set.verifier.start();
  const sid = uuidV7(set.signet.clock.now() - 1000);
  const token = await set.signet.token({ sid });
  assert.equal(await verdict(set.verifier.verify(token)), 'valid');
  return { ...set, sid, token };
}

/** Waits until a follower of another server has failed, tried again, and made some live requests. */
async function othersGoOn(t) {
  const { signet, errors } = await following(t);
  signet.intercept = (path) => (path.startsWith(FEED) ? new Response('', { status: 503 }) : undefined);
  await until('two failures', () => errors.length >= 2);
  signet.intercept = undefined;
  const before = signet.count('/after/');
  await until('some requests', () => signet.count('/after/') > before + 2);
}

const refused = (verifier, token) =>
  until('the token is revoked', async () => (await verdict(verifier.verify(token))) === 'revoked');

test('what the snapshot has is refused at once', async (t) => {
  const { signet, verifier } = await setUp(t);
  const sid = uuidV7(signet.clock.now());
  const token = await signet.token({ sid });
  for (let index = 0; index < 10; index += 1) signet.revoke({ ids: [`other-${index}`] });
  signet.revoke({ ids: [sid] });
  assert.equal(await verdict(verifier.verify(token)), 'revoked');
  assert.equal(verifier.status().revocations, 11);
  assert.equal(await verdict(verifier.verify(await signet.token())), 'valid');
});

test('a snapshot alone proves nothing', async (t) => {
  const { signet, verifier } = await setUp(t);
  const sid = uuidV7(signet.clock.now());
  signet.revoke({ ids: [sid] });
  const isCut = (path) => path.startsWith(FEED) && !path.endsWith('/snapshot');
  signet.intercept = (path) => (isCut(path) ? new Response('', { status: 503 }) : undefined);
  const token = await signet.token();
  assert.equal(await verdict(verifier.verify(token)), 'stale');
  assert.equal(await verdict(verifier.verify(await signet.token({ sid }))), 'revoked');
  signet.intercept = undefined;
  await until('the feed is followed', async () => (await verdict(verifier.verify(token))) === 'valid');
});

for (const feed of ['live', 'poll']) {
  test(`what is revoked later is refused too (${feed})`, async (t) => {
    const { signet, verifier, sid, token, errors } = await following(t, { feed });
    const other = await signet.token();
    assert.equal(await verdict(verifier.verify(other)), 'valid');
    signet.revoke({ ids: [sid] });
    signet.segments.push(signet.position);
    await refused(verifier, token);
    assert.equal(await verdict(verifier.verify(other)), 'valid');
    assert.deepEqual(errors, []);
    assert.equal(verifier.status().stale, false);
    assert.equal(signet.count('/snapshot'), 1);
  });
}

test('each kind of revocation', async (t) => {
  const { signet, verifier } = await setUp(t);
  const now = Math.floor(signet.clock.now());
  const [sid, jti] = [uuidV7(now - 5000), uuidV7(now - 5000)];
  const clientClaims = { sid: undefined, client_id: 'key-1' };
  const clientOfUser = (claims) => signet.token({ sid: undefined, client_id: 'key-2', sub: 'user-2', ...claims });
  const tokens = {
    sid: await signet.token({ sid }),
    jti: await signet.token({ jti }),
    client: await signet.token(clientClaims),
    before: await signet.token({ sub: 'user-2', sid: uuidV7(now - 5000) }),
    after: await signet.token({ sub: 'user-2', sid: uuidV7(now - 4000) }),
    // Of a token without a session, 120 seconds are subtracted.
    'client of the user': await clientOfUser({ jti: uuidV7(now + 100_000) }),
    'later client': await clientOfUser({ jti: uuidV7(now + 130_000) }),
    'no UUID': await clientOfUser({ jti: 'x', iat: Math.floor(now / 1000) - 10 }),
    other: await signet.token(),
  };
  signet.revoke({ ids: [sid, jti, 'key-1'], users: [['user-2', now - 5000], ['user-1', now - 60_000]] });
  const verdicts = {};
  for (const [name, token] of Object.entries(tokens)) verdicts[name] = await verdict(verifier.verify(token));
  const revoked = ['sid', 'jti', 'client', 'before', 'client of the user', 'no UUID'];
  const expected = Object.keys(tokens).map((name) => [name, revoked.includes(name) ? 'revoked' : 'valid']);
  assert.deepEqual(verdicts, Object.fromEntries(expected));
});

test('everything before a time, and a signing key', async (t) => {
  const { signet, verifier, token } = await following(t);
  signet.notBefore = Math.floor(signet.clock.now());
  await refused(verifier, token);
  const later = await signet.token({ sid: uuidV7(signet.notBefore) });
  assert.equal(await verdict(verifier.verify(later)), 'valid');
  const next = await makeKey('k2');
  signet.keys.push(next);
  const other = await signet.token({ sid: uuidV7(signet.notBefore) }, {}, next);
  await until('the key is known', async () => (await verdict(verifier.verify(other))) === 'valid');
  signet.revoke({ ids: ['k2'] });
  await refused(verifier, other);
  assert.equal(await verdict(verifier.verify(later)), 'valid');
});

test('a changed key set is fetched within a second', async (t) => {
  const { signet, verifier, token, errors } = await following(t);
  const before = signet.count('jwks.json');
  const [first] = signet.keys;
  const noCache = [];
  signet.intercept = (path, init) => void (path.endsWith('jwks.json') && noCache.push(init.headers['cache-control']));
  signet.keys.push(await makeKey('k2'));
  signet.clock.advance(1_000);
  await until('both keys are known', () => verifier.status().keys === 2);
  signet.keys = [signet.keys[1]];
  signet.clock.advance(1_000);
  await until('one key is left', () => verifier.status().keys === 1);
  assert.equal(await verdict(verifier.verify(token)), 'unknown_key');
  assert.equal(signet.count('jwks.json'), before + 2);
  assert.deepEqual(noCache, ['no-cache', 'no-cache']);
  assert.ok(first.kid !== signet.keys[0].kid);
  assert.deepEqual(errors, []);
});

test('a new epoch keeps what was revoked', async (t) => {
  const { signet, verifier, sid, token } = await following(t);
  signet.revoke({ ids: [sid] });
  await refused(verifier, token);
  const second = uuidV7(signet.clock.now());
  const other = await signet.token({ sid: second });
  assert.equal(await verdict(verifier.verify(other)), 'valid');
  // The store was emptied: another epoch, and the entry is gone.
  Object.assign(signet, { epoch: 'e2', log: [], segments: ['p0'] });
  await until('the new epoch is followed', () => verifier.status().epoch === 'e2');
  assert.equal(await verdict(verifier.verify(token)), 'revoked');
  signet.revoke({ ids: [second] });
  await refused(verifier, other);
  assert.equal(signet.count('/snapshot'), 2);
});

test('a new epoch is found through the head too', async (t) => {
  const { signet, verifier, sid, token } = await following(t, { feed: 'poll' });
  Object.assign(signet, { epoch: 'e2', log: [], segments: ['p0'] });
  signet.revoke({ ids: [sid] });
  await refused(verifier, token);
  await until('the new epoch is followed', () => verifier.status().epoch === 'e2');
});

test('a snapshot from a cache that the server does not continue causes no loop', async (t) => {
  const { signet, verifier, errors } = await setUp(t);
  signet.intercept = (path) => (path.includes('/after/') ? new Response('', { status: 410 }) : undefined);
  await verifier.start();
  await until('the second failure', () => errors.length >= 2);
  assert.ok(signet.count('/snapshot') <= 4, `${signet.count('/snapshot')} snapshots`);
});

test('segments are read from a position that was reached', async (t) => {
  const { signet, verifier, errors } = await following(t, { feed: 'poll' });
  const position = async (expected) => until(expected, () => verifier.status().position === expected);
  signet.revoke({ ids: ['a'] });
  signet.segments.push(signet.revoke({ ids: ['b'] }));
  signet.revoke({ ids: ['c'] });
  signet.segments.push(signet.revoke({ ids: ['d'] }));
  await position('p4');
  assert.equal(signet.count('/segments/'), 2);
  assert.equal(signet.count('/segments/p0/p2'), 1);
  assert.equal(signet.count('/segments/p2/p4'), 1);
  // The newest position is not in the list any more, but one that was passed on the way is.
  signet.revoke({ ids: ['x'] });
  signet.segments = ['p0', 'p2', signet.revoke({ ids: ['y'] })];
  await position('p6');
  assert.equal(signet.count('/segments/p2/p6'), 1);
  // No position that was reached is in the list any more: the live feed helps.
  signet.revoke({ ids: ['e'] });
  signet.segments = ['p7', signet.revoke({ ids: ['f'] })];
  await position('p8');
  assert.equal(signet.count('/segments/'), 3);
  assert.equal(signet.count('/after/p6'), 1);
  // The list is from a cache, and the server keeps the segments no more.
  signet.intercept = (path) => (path.includes('/segments/') ? new Response('', { status: 410 }) : undefined);
  signet.segments.push(signet.revoke({ ids: ['g'] }));
  await position('p9');
  assert.equal(signet.count('/after/p8'), 1);
  assert.equal(verifier.status().revocations, 9);
  assert.equal(signet.count('/snapshot'), 1);
  assert.deepEqual(errors, []);
});

test('frames that are not genuine change nothing', async (t) => {
  const attackers = await makeKey('k1');
  const payload = (changes) => (signet) => (signet.changePayload = (before) => ({ ...before, ...changes }));
  const text = (change) => (signet) => (signet.changeFrame = change);
  const header = (members) => {
    const encoded = Buffer.from(JSON.stringify({ alg: 'EdDSA', ...members })).toString('base64url');
    return text((before) => before.replace(/^[^.]+/, encoded));
  };
  const cases = {
    'another key': (signet) => (signet.keys = [{ ...attackers, jwk: signet.keys[0].jwk }]),
    'an unknown key': header({ typ: 'signet-revocations+jws', kid: 'none' }),
    'another type': header({ typ: 'at+jwt', kid: 'k1' }),
    'another issuer': payload({ iss: 'https://evil.example' }),
    'half a record': payload({ revoked: 'AAAA' }),
    'a position that is no text': payload({ to: 7 }),
    'a cut-off frame': text((before) => before.slice(0, -50)),
    'no frame': text(() => 'x'),
    'a long line': text(() => 'x'.repeat(300_000)),
    'another position': payload({ from: 'p7', to: 'p9' }),
  };
  for (const [name, change] of Object.entries(cases)) {
    const { signet, verifier, errors, token } = await following(t);
    const { position } = verifier.status();
    change(signet);
    await until(`${name} is reported`, () => errors.length > 0);
    assert.match(errors[0].code, /^(invalid_frame|gap|too_large)$/, name);
    signet.clock.advance(10_500);
    assert.equal(await verdict(verifier.verify(token)), 'stale', name);
    assert.equal(verifier.status().position, position, name);
    verifier.close();
  }
});

test('a frame signed with a revoked key is refused', async (t) => {
  const { signet, verifier, errors } = await following(t);
  signet.revoke({ ids: ['k1'] });
  await until('it is reported', () => errors.length > 0);
  assert.match(errors[0].message, /revoked key/);
  assert.equal(verifier.status().epoch, 'e1');
});

test('replayed frames do not hide that the feed is silent', async (t) => {
  const { signet, verifier, token } = await following(t);
  await until('a live frame', () => signet.count('/after/') > 1);
  signet.clock.stop();
  const recorded = await signet.frame({ from: 'p0', to: 'p0' });
  signet.intercept = (path) => (path.includes('/after/') ? new Response(`${recorded}\n`) : undefined);
  const replayed = async () => {
    const before = signet.count('/after/');
    await until('replayed frames were read', () => signet.count('/after/') > before + 2);
  };
  await replayed();
  signet.clock.advance(9_000);
  await replayed();
  assert.equal(await verdict(verifier.verify(token)), 'valid');
  signet.clock.advance(1_500);
  await replayed();
  assert.ok(verifier.status().staleness > 10);
  assert.equal(await verdict(verifier.verify(token)), 'stale');
  signet.intercept = undefined;
  await until('the feed is back', async () => (await verdict(verifier.verify(token))) === 'valid');
});

test('the first frame must not be old', async (t) => {
  const { signet, verifier, errors } = await setUp(t);
  signet.changePayload = (payload) => ({ ...payload, time: payload.time - 121_000 });
  assert.equal(await verdict(verifier.verify(await signet.token())), 'stale');
  assert.equal(errors[0].code, 'clock');
});

test('a clock that differs by 90 seconds is no obstacle', async (t) => {
  const { signet, verifier } = await setUp(t);
  signet.changePayload = (payload) => ({ ...payload, time: payload.time - 90_000 });
  assert.equal(await verdict(verifier.verify(await signet.token())), 'valid');
  assert.ok(verifier.status().staleness < 5);
});

test('an incomplete snapshot is no start', async (t) => {
  const { signet, verifier, errors } = await setUp(t);
  signet.changePayload = (payload) => (payload.part === 2 ? { ...payload, part: 3, parts: 3 } : payload);
  assert.equal(await verdict(verifier.verify(await signet.token())), 'stale');
  assert.equal(errors[0].code, 'invalid_response');
  signet.changePayload = (payload) => ({ ...payload, parts: payload.parts && 3 });
  await until('another failure', () => errors.length > 1);
  assert.equal(verifier.status().stale, true);
});

test('no other frame passes for a snapshot', async (t) => {
  const frames = {
    head: (signet) => signet.frame({ from: 'p1', to: 'p1', segments: ['p1'] }),
    'live frame': (signet) => signet.frame({ from: 'p0', to: 'p1' }),
  };
  for (const [name, frame] of Object.entries(frames)) {
    const { signet, verifier, errors } = await setUp(t);
    const sid = uuidV7(signet.clock.now() - 1000);
    signet.revoke({ ids: [sid] });
    const hiding = await frame(signet);
    signet.intercept = (path) => (path.endsWith('/snapshot') ? new Response(`${hiding}\n`) : undefined);
    const token = await signet.token({ sid });
    assert.equal(await verdict(verifier.verify(token)), 'stale', name);
    assert.equal(errors[0].code, 'invalid_response', name);
    signet.intercept = undefined;
    await refused(verifier, token);
    verifier.close();
  }
});

for (const feed of ['live', 'poll']) {
  test(`a segment in place of another frame proves nothing (${feed})`, async (t) => {
    const { signet, verifier, token, errors } = await following(t, { feed });
    signet.segments.push(signet.revoke({ ids: ['other'] }));
    await until('it is applied', () => verifier.status().position === 'p1');
    signet.intercept = async (path) => {
      const members = { from: 'p0', to: 'p1', not_before: undefined, jwks: undefined };
      return path.startsWith(FEED) ? new Response(`${await signet.frame(members, signet.log)}\n`) : undefined;
    };
    await until('it is reported', () => errors.length > 0);
    assert.equal(errors[0].code, 'gap');
    // A segment does not have it.
    signet.notBefore = Math.floor(signet.clock.now());
    signet.clock.advance(10_500);
    assert.equal(await verdict(verifier.verify(token)), 'stale');
    signet.intercept = undefined;
    await refused(verifier, token);
  });
}

test('a server without a feed is reported', async (t) => {
  const { signet, verifier, errors } = await setUp(t);
  signet.metadata = {};
  assert.equal(await verdict(verifier.verify(await signet.token())), 'stale');
  assert.equal(errors[0].code, 'feed_off');
});

test('503 is repeated after the time that the server asks for', async (t) => {
  const { signet, verifier, errors } = await following(t);
  const busy = () => new Response('', { status: 503, headers: { 'retry-after': '30' } });
  signet.intercept = (path) => (path.startsWith(FEED) ? busy() : undefined);
  await until('it is reported', () => errors.length > 0);
  assert.equal(errors[0].retryAfter, 30);
  const { staleness } = verifier.status();
  await othersGoOn(t);
  assert.equal(errors.length, 1);
  assert.ok(verifier.status().staleness > staleness);
});

test('entries are dropped after their time, by the earlier clock', async (t) => {
  const { signet, verifier } = await setUp(t);
  const now = Math.floor(signet.clock.now() / 1000);
  signet.revoke({ ids: ['a', 'b'], until: now + 300 });
  signet.revoke({ ids: ['c'], users: [['user-9', 1000]], until: now + 1000 });
  await verifier.start();
  assert.equal(verifier.status().revocations, 4);
  signet.clock.advance(415_000);
  const requests = signet.count('/after/');
  await until('frames were read', () => signet.count('/after/') > requests + 2);
  assert.equal(verifier.status().revocations, 4, 'not before the margin of 120 seconds');
  signet.clock.advance(10_000);
  await until('two entries are dropped', () => verifier.status().revocations === 2);
  // A clock that is ahead, while the frames show the true time.
  signet.changePayload = (payload) => ({ ...payload, time: payload.time - 3_600_000 });
  signet.clock.advance(3_600_000);
  const then = signet.count('/after/');
  await until('more frames were read', () => signet.count('/after/') > then + 2);
  assert.equal(verifier.status().revocations, 2);
});

test('close ends everything', async (t) => {
  const { signet, verifier, token, errors } = await following(t);
  verifier.close();
  const requests = signet.requests.length;
  assert.equal(await verdict(verifier.verify(token)), 'unavailable');
  await othersGoOn(t);
  assert.equal(signet.requests.length, requests);
  assert.deepEqual(errors, []);
});

test('without background work the feed is read on demand', async (t) => {
  const { signet, verifier, sid, token } = await following(t, { background: false });
  signet.clock.stop();
  // Reads the feed if that was long ago.
  await verifier.verify(token);
  const requests = signet.requests.length;
  await verifier.verify(token);
  await othersGoOn(t);
  assert.equal(signet.requests.length, requests);
  signet.segments.push(signet.revoke({ ids: [sid] }));
  signet.clock.advance(2_500);
  const other = await signet.token();
  const verifications = [token, token, other].map((each) => verdict(verifier.verify(each)));
  assert.deepEqual(await Promise.all(verifications), ['revoked', 'revoked', 'valid']);
  assert.equal(signet.requests.length, requests + 2, 'the head and a segment, once');
  assert.deepEqual(signet.requests.slice(-2), [`GET ${FEED}`, `GET ${FEED}/e1/segments/p0/p1`]);
});

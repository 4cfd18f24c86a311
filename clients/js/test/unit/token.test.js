import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createVerifier, VerifyError } from '../../src/index.js';
import { AUDIENCE, ISSUER, makeKey, sign } from '../support/signet.js';
import { setUp, verdict } from '../support/verifier.js';

const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

test('the claims of a valid token', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  const email = { email: 'a@example.org', email_verified: true };
  const extra = { scope: 'read write', client_id: 'app', auth_time: 1000, ...email };
  const token = await signet.token({ aud: ['other', AUDIENCE], ...extra });
  const claims = await verifier.verify(token);
  assert.equal(claims.sub, 'user-1');
  assert.deepEqual([...claims.scopes], ['read', 'write']);
  assert.deepEqual(claims.audience, ['other', AUDIENCE]);
  assert.deepEqual([claims.email, claims.emailVerified], ['a@example.org', true]);
  assert.deepEqual([claims.clientId, claims.authTime], ['app', 1000]);
  assert.deepEqual([claims.isUser, claims.isClient], [true, false]);
  assert.equal(claims.expiresAt, claims.raw.exp);
  assert.equal(claims.issuedAt, claims.raw.iat);
  assert.equal(claims.sid, claims.raw.sid);

  const client = await verifier.verify(await signet.token({ sid: undefined, email: 'a@example.org' }));
  assert.deepEqual([client.isUser, client.isClient, client.email], [false, true, undefined]);
});

test('requests cannot change the claims that they share', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  const claims = await verifier.verify(await signet.token({ scope: 'read', nested: { list: [1] } }));
  assert.throws(() => (claims.sub = 'root'), TypeError);
  assert.throws(() => claims.scopes.add('admin'), TypeError);
  assert.throws(() => claims.scopes.clear(), TypeError);
  assert.throws(() => claims.audience.push('all'), TypeError);
  assert.throws(() => claims.raw.nested.list.push(2), TypeError);
  assert.deepEqual([...claims.scopes], ['read']);
});

test('each way in which a token is refused', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  signet.clock.stop();
  const now = Math.floor(signet.clock.now() / 1000);
  const [key] = signet.keys;
  const stranger = await makeKey('k1');
  const valid = await signet.token();
  const [header, payload, signature] = valid.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url'));
  const withHeader = (members) => signet.token({}, members);
  const withText = (text) => sign({ ...key }, { typ: 'at+jwt' }, text);
  const join = (...segments) => segments.join('.');
  const ours = { alg: 'EdDSA', typ: 'at+jwt', kid: 'k1' };
  const unsigned = (members) => join(encode({ ...ours, ...members }), payload, signature);
  const withClaims = (members) => signet.token(members);
  // The last character of a signature has four bits that must be zero.
  const twin = valid.slice(0, -1) + { A: 'B', Q: 'R', g: 'h', w: 'x' }[valid.at(-1)];
  const cases = [
    ['missing', undefined, null, ''],
    ['malformed', 'x', 'a.b', `${valid}.`, `${valid}.x`, join('', payload, signature)],
    ['malformed', join(`${header}=`, payload, signature)],
    ['malformed', join(encode('[]'), payload, signature), join(header, payload, 'AAAA')],
    ['malformed', unsigned({ kid: 1 }), unsigned({ typ: 1 }), unsigned({ alg: 1 }), unsigned({ alg: undefined })],
    ['malformed', twin, valid.padEnd(20_000, 'x')],
    ['malformed', unsigned({ crit: ['exp'] }), unsigned({ jku: 'https://evil.example' }), unsigned({ jwk: key.jwk })],
    ['malformed', unsigned({ x5u: null }), unsigned({ x5c: [] }), unsigned({ b64: true }), unsigned({ zip: 'DEF' })],
    ['malformed', await withText('text'), await withText([]), await withClaims({ exp: undefined })],
    ['malformed', await withClaims({ exp: 1e10 + 0.5 }), await withClaims({ nbf: null }), await withClaims({ sid: 1 })],
    ['malformed', await withClaims({ sub: undefined }), await withClaims({ aud: [1] }), await withClaims({ sub: 5 })],
    ['unsupported_algorithm', unsigned({ alg: 'none' }), unsigned({ alg: 'HS256' }), unsigned({ alg: 'ES256' })],
    ['wrong_type', await withHeader({ typ: 'JWT' }), await withHeader({ typ: undefined })],
    ['wrong_type', await withHeader({ typ: 'signet-revocations+jws' }), await withHeader({ typ: 'text/at+jwt' })],
    ['unknown_key', await withHeader({ kid: 'k2' }), await withHeader({ kid: undefined })],
    ['unknown_key', await withHeader({ kid: '__proto__' })],
    ['bad_signature', await signet.token({}, {}, stranger)],
    ['bad_signature', join(header, encode({ ...claims, sub: 'root' }), signature)],
    ['wrong_issuer', await withClaims({ iss: `${ISSUER}/` }), await withClaims({ iss: 'https://evil.example' })],
    ['wrong_audience', await withClaims({ aud: 'other' }), await withClaims({ aud: [] })],
    ['wrong_audience', await withClaims({ aud: 'order' })],
    ['expired', await withClaims({ exp: now - 6 }), await withClaims({ exp: 0 })],
    ['not_yet_valid', await withClaims({ nbf: now + 60 })],
    ['valid', valid, await withHeader({ typ: 'application/AT+JWT' }), await withHeader({ alg: 'Ed25519' })],
    ['valid', await withClaims({ exp: now - 2 }), await withClaims({ nbf: now + 3 }), await withClaims({ sid: null })],
  ];
  for (const [expected, ...tokens] of cases) {
    for (const [index, token] of tokens.entries()) {
      // A second time, because the first may have put the token into the cache.
      for (const round of [1, 2]) {
        assert.equal(await verdict(verifier.verify(token)), expected, `${expected} ${index}, round ${round}: ${token}`);
      }
    }
  }
});

test('the key determines the algorithm', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  const es256 = await makeKey('es', 'ES256');
  const mislabelled = await makeKey('mislabelled', 'ES256');
  mislabelled.jwk.alg = 'EdDSA';
  const forEncryption = await makeKey('enc');
  forEncryption.jwk.use = 'enc';
  signet.keys.push(es256, mislabelled, forEncryption);
  signet.keys.push({ kid: 'bad', jwk: { kty: 'OKP', crv: 'Ed25519', x: 'AA', kid: 'bad' } });
  signet.keys.push({ kid: 'rsa', jwk: { kty: 'RSA', n: 'AQAB', e: 'AQAB', kid: 'rsa' } });
  assert.equal(await verdict(verifier.verify(await signet.token({}, {}, es256))), 'valid');
  assert.equal(await verdict(verifier.verify(await signet.token({}, { kid: 'k1' }, es256))), 'unsupported_algorithm');
  assert.equal(await verdict(verifier.verify(await signet.token({}, { kid: 'es' }))), 'unsupported_algorithm');
  for (const kid of ['mislabelled', 'enc', 'bad', 'rsa']) {
    assert.equal(await verdict(verifier.verify(await signet.token({}, { kid }))), 'unknown_key', kid);
  }
});

test('scopes and the kind of subject', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  const user = await signet.token({ scope: 'read write' });
  const client = await signet.token({ sid: undefined, client_id: 'key-1', scope: 'read' });
  const cases = [
    [user, { scopes: ['read', 'write'] }, 'valid'],
    [user, { scopes: ['admin'] }, 'insufficient_scope'],
    [client, { scopes: ['read', 'write'] }, 'insufficient_scope'],
    [user, { subject: 'user' }, 'valid'],
    [user, { subject: 'client' }, 'wrong_subject'],
    [client, { subject: 'client', scopes: ['read'] }, 'valid'],
    [client, { subject: 'user' }, 'wrong_subject'],
  ];
  for (const [token, requirements, expected] of cases) {
    assert.equal(await verdict(verifier.verify(token, requirements)), expected, JSON.stringify(requirements));
  }
});

test('misspelt options and requirements are errors', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  const token = await signet.token();
  const misspelt = [{ scope: 'a' }, { scopes: 'a' }, { scopes: ['a b'] }, { scopes: [''] }, { subject: 'users' }];
  for (const requirements of misspelt) {
    await assert.rejects(verifier.verify(token, requirements), TypeError, JSON.stringify(requirements));
  }
  const valid = { issuer: ISSUER, audience: AUDIENCE };
  const invalid = [
    {}, { issuer: 'x' }, { issuer: 'http://id.example.org' }, { issuer: 'https://me:secret@id.example.org' },
    { issuer: 'http://127.0.0.1.example.org' }, { audience: undefined }, { audience: '' }, { feed: 'on' },
    { whenStale: 'ignore' }, { leeway: -1 }, { maxStaleness: '10' }, { max_staleness: 1 },
  ];
  for (const options of invalid.slice(1)) {
    assert.throws(() => createVerifier({ ...valid, ...options }), TypeError, JSON.stringify(options));
  }
  assert.throws(() => createVerifier({}), TypeError);
  assert.throws(() => createVerifier(undefined), TypeError);
  createVerifier({ ...valid, issuer: 'http://127.0.0.1:8000' }).close();
  createVerifier({ ...valid, issuer: 'http://localhost:8000', leeway: undefined }).close();
});

test('the Authorization header', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  const token = await signet.token();
  const cases = [
    ['valid', `Bearer ${token}`, `bearer ${token}`, `BEARER  ${token}`],
    ['missing', undefined, null, '', 'Basic YTpi', token, `Bearer${token}`],
    ['invalid_request', 'Bearer', 'Bearer ', `Bearer ${token} ${token}`, `Bearer ${token}, Bearer ${token}`],
    ['malformed', `Bearer ${token},x`],
  ];
  for (const [expected, ...headers] of cases) {
    for (const header of headers) assert.equal(await verdict(verifier.verifyAuthorization(header)), expected, header);
  }
});

test('errors contain no token', async (t) => {
  const { signet, verifier } = await setUp(t, { feed: 'off' });
  const token = await signet.token({ aud: 'other' });
  const error = await verifier.verify(token).catch((error) => error);
  assert.ok(error instanceof VerifyError);
  const { inspect } = await import('node:util');
  assert.ok(!inspect(error, { depth: 10 }).includes(token.slice(0, 40)));
});

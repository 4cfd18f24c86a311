import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createVerifier } from '../../src/index.js';
import { AUDIENCE, ISSUER, makeKey } from '../support/signet.js';
import { setUp, until } from '../support/verifier.js';

const PATH = '/.well-known/signet-revocations/followers';
const report = { name: 'orders-1:7', apiKey: 'sk_test' };

/** A verifier that reports, and the reports that the server received. */
async function reporting(t, options = {}) {
  const set = await setUp(t, { report, ...options });
  const reports = [];
  const answer = { status: 204 };
  set.signet.intercept = (path, init) => {
    if (path !== PATH) return undefined;
    reports.push({ method: init.method, headers: init.headers, body: JSON.parse(init.body) });
    return new Response(null, { status: answer.status });
  };
  return { ...set, reports, answer };
}

test('reports what was read, once a minute and when the keys change', async (t) => {
  const { signet, verifier, reports, errors } = await reporting(t);
  const position = signet.revoke({ ids: ['s1'] });
  await verifier.start();
  await until('the first report', () => reports.length === 1);
  const [{ method, headers, body }] = reports;
  assert.deepEqual([method, headers.authorization], ['POST', 'Bearer sk_test']);
  assert.equal(headers['content-type'], 'application/json');
  const { time, jwks, ...rest } = body;
  assert.deepEqual(rest, { name: 'orders-1:7', epoch: 'e1', position });
  assert.ok(Math.abs(time - signet.clock.now()) < 5_000);
  assert.match(jwks, /^[\w-]{16}$/);

  const before = signet.count('after');
  await until('some steps later', () => signet.count('after') > before + 3);
  assert.equal(reports.length, 1);
  signet.clock.advance(60_000);
  await until('the second report', () => reports.length === 2);
  assert.equal(reports[1].body.jwks, jwks);

  signet.keys.push(await makeKey('k2'));
  signet.clock.advance(1_000);
  await until('the other keys are known', () => verifier.status().keys === 2);
  signet.clock.advance(3_000);
  await until('the third report', () => reports.length === 3);
  assert.notEqual(reports[2].body.jwks, jwks);
  assert.deepEqual(errors, []);
});

test('a report that fails is told, and nothing else fails', async (t) => {
  const { verifier, reports, errors, answer, signet } = await reporting(t, { feed: 'poll' });
  answer.status = 403;
  await verifier.start();
  await until('the error', () => errors.length === 1);
  assert.match(errors[0].message, /report.*403/);
  assert.equal(reports.length, 1);
  assert.ok(await verifier.verify(await signet.token()));
});

test('no report without the option', async (t) => {
  const { signet, verifier } = await setUp(t);
  await verifier.start();
  await until('some steps', () => signet.count('after') > 2);
  assert.equal(signet.count('followers'), 0);
});

test('a name and a key are needed', () => {
  const changes = [{ name: '' }, { name: 'a b' }, { name: undefined }, { apiKey: '' }, { apiKey: 'a\nb' }, { more: 1 }];
  for (const wrong of [{}, 'a', null, ...changes.map((change) => ({ ...report, ...change }))]) {
    assert.throws(() => createVerifier({ issuer: ISSUER, audience: AUDIENCE, report: wrong }), TypeError);
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Ask } from '../../src/ask.js';
import { AUDIENCE } from '../support/signet.js';
import { setUp, until, verdict } from '../support/verifier.js';

/** A verifier whose feed fails from now on, while `/verify/batch` answers with `results`. */
async function stale(t, whenStale, answer = () => new Response('', { status: 500 })) {
  const set = await setUp(t, { whenStale });
  await set.verifier.start();
  const batches = [];
  set.signet.intercept = async (path, init) => {
    if (path === '/verify/batch') {
      batches.push(JSON.parse(init.body));
      return answer(batches.at(-1).tokens);
    }
    return path.includes('revocations') ? new Response('', { status: 500 }) : undefined;
  };
  await until('the feed fails', () => set.errors.length > 0);
  set.signet.clock.advance(10_500);
  assert.equal(set.verifier.status().stale, true);
  return { ...set, batches };
}

const active = (tokens) => Response.json({ results: tokens.map(() => ({ active: true, claims: {} })) });

test('refuse: all tokens are refused, invalid ones with their reason', async (t) => {
  const { signet, verifier } = await stale(t, 'refuse');
  assert.equal(await verdict(verifier.verify(await signet.token())), 'stale');
  assert.equal(await verdict(verifier.verify(await signet.token({ aud: 'other' }))), 'wrong_audience');
  assert.equal(await verdict(verifier.verify(await signet.token(), { scopes: ['a'] })), 'insufficient_scope');
  signet.intercept = undefined;
  await until('the feed is back', async () => (await verdict(verifier.verify(await signet.token()))) === 'valid');
});

test('allow: signature, claims and known revocations decide', async (t) => {
  const { signet, verifier } = await stale(t, 'allow');
  assert.equal(await verdict(verifier.verify(await signet.token())), 'valid');
  assert.equal(await verdict(verifier.verify(await signet.token({ exp: 1 }))), 'expired');
});

test('allow: tokens are accepted although there never was a feed', async (t) => {
  const { signet, verifier } = await setUp(t, { whenStale: 'allow' });
  signet.intercept = (path) => (path.includes('revocations') ? new Response('', { status: 500 }) : undefined);
  assert.equal(await verdict(verifier.verify(await signet.token())), 'valid');
});

test('ask: tokens that wait at the same time are sent in one request', async (t) => {
  const { signet, verifier, batches } = await stale(t, 'ask', active);
  const tokens = await Promise.all(Array.from({ length: 30 }, () => signet.token()));
  // All are verified before, so that they ask at the same time.
  await Promise.all(tokens.map((token) => verifier.verify(token)));
  batches.length = 0;
  const verdicts = await Promise.all([...tokens, ...tokens].map((token) => verdict(verifier.verify(token))));
  assert.deepEqual(new Set(verdicts), new Set(['valid']));
  assert.deepEqual(batches, [{ tokens, aud: AUDIENCE }]);
  const invalid = await signet.token({ aud: 'other' });
  assert.equal(await verdict(verifier.verify(invalid)), 'wrong_audience');
  assert.equal(batches.length, 1, 'what is refused anyway is not sent');
});

test('ask: a request has at most 1,024 tokens and a megabyte', async () => {
  const batches = [];
  const discovery = { get: async () => ({ verifyBatch: 'https://id.example.org/verify/batch' }) };
  const request = async (_url, options, read) => {
    batches.push(JSON.parse(options.body).tokens.length);
    return read(active(JSON.parse(options.body).tokens));
  };
  const ask = new Ask(discovery, { request }, AUDIENCE);
  await Promise.all(Array.from({ length: 1_030 }, (_, index) => ask.check(`token-${index}`)));
  assert.deepEqual(batches, [1_024, 6]);
  batches.length = 0;
  await Promise.all(Array.from({ length: 70 }, (_, index) => ask.check(`${index}`.padEnd(16_384, 'x'))));
  assert.deepEqual(batches, [64, 6]);
});

/** Questions to a server that holds each request until its function in `answers` is called. */
function held(longestWait) {
  const [batches, answers] = [[], []];
  const discovery = { get: async () => ({ verifyBatch: 'https://id.example.org/verify/batch' }) };
  const request = async (_url, options, read) => {
    const { tokens } = JSON.parse(options.body);
    batches.push(tokens);
    await new Promise((resolve) => answers.push(resolve));
    return read(active(tokens));
  };
  return { ask: new Ask(discovery, { request }, AUDIENCE, longestWait), batches, answers };
}

test('ask: one request is under way at a time', async () => {
  const { ask, batches, answers } = held();
  const checks = [];
  for (const token of ['a', 'b', 'c']) {
    checks.push(ask.check(token));
    // Timers that were set before have fired by then.
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.deepEqual(batches, [['a']]);
  answers[0]();
  await until('the next one is sent', () => answers.length === 2);
  answers[1]();
  await Promise.all(checks);
  assert.deepEqual(batches, [['a'], ['b', 'c']]);
});

test('ask: a token does not wait for more than two requests', async () => {
  const { ask, batches, answers } = held(1_000);
  const first = ask.check('a');
  await until('the first is sent', () => answers.length === 1);
  assert.deepEqual(await Promise.all([first, ask.check('b')].map(verdict)), ['unavailable', 'unavailable']);
  answers[0]();
  const last = ask.check('c');
  await until('the last is sent', () => answers.length === 2);
  answers[1]();
  assert.equal(await verdict(last), 'valid');
  assert.deepEqual(batches, [['a'], ['c']], 'nobody waits for the answer about the second');
});

test('ask: each token gets its own answer', async (t) => {
  const reasons = ['revoked', 'revoked_key', 'expired', 'stale', 'something_new', undefined];
  const answer = (tokens) => Response.json({
    results: tokens.map((_, index) => (index === 0 ? { active: true } : { active: false, reason: reasons[index - 1] })),
  });
  const { signet, verifier, batches } = await stale(t, 'ask', active);
  const tokens = await Promise.all(Array.from({ length: 7 }, () => signet.token()));
  await Promise.all(tokens.map((token) => verifier.verify(token)));
  batches.length = 0;
  const before = signet.intercept;
  signet.intercept = (path, init) =>
    path === '/verify/batch' ? answer(JSON.parse(init.body).tokens) : before(path, init);
  const verdicts = await Promise.all(tokens.map((token) => verdict(verifier.verify(token))));
  assert.deepEqual(verdicts, ['valid', 'revoked', 'revoked', 'expired', 'unavailable', 'revoked', 'revoked']);
});

test('ask: if the server cannot be asked, tokens are refused', async (t) => {
  const answers = [
    () => new Response('', { status: 503 }),
    () => Promise.reject(new TypeError('fetch failed')),
    () => Response.json({ results: [] }),
    () => Response.json({}),
    () => new Response('no JSON'),
    () => Response.json({ results: [{ active: 'true', reason: 'stale' }] }),
  ];
  for (const answer of answers) {
    const { signet, verifier } = await stale(t, 'ask', answer);
    assert.equal(await verdict(verifier.verify(await signet.token())), 'unavailable', String(answer));
    verifier.close();
  }
});

test('ask: the metadata name the endpoint', async (t) => {
  const { signet, verifier } = await setUp(t, { whenStale: 'ask' });
  signet.metadata = { verification_endpoint: 'https://id.example.org/auth/verify' };
  const paths = [];
  signet.intercept = (path, init) => {
    paths.push(path);
    return path === '/auth/verify/batch' ? active(JSON.parse(init.body).tokens) : undefined;
  };
  assert.equal(await verdict(verifier.verify(await signet.token())), 'valid');
  assert.equal(paths.at(-1), '/auth/verify/batch');
});

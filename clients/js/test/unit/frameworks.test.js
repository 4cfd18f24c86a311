import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import { test } from 'node:test';

import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';

import { requireToken as forExpress } from '@signet/verify/express';
import { requireToken as forFastify } from '@signet/verify/fastify';
import { requireToken as forHono } from '@signet/verify/hono';
import { requireToken as forNext } from '@signet/verify/next';
import { problem, toResponse, VerifyError } from '@signet/verify';

import { setUp, until } from '../support/verifier.js';

const REQUIREMENTS = { scopes: ['read', 'write'], subject: 'user' };

async function listen(t, server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

/**
 * Per framework: a function that requests `/` with a header and returns the response. In servers of Node, `change` is
 * middleware before ours.
 */
const FRAMEWORKS = {
  async express(t, verifier, change = () => {}) {
    const app = express();
    app.use((req, _, next) => { change(req.headers); next(); });
    app.use(forExpress(verifier));
    app.get('/', forExpress(verifier, REQUIREMENTS), (req, res) => void res.json({ sub: req.claims.sub }));
    const url = await listen(t, createServer(app));
    return Object.assign((headers) => fetch(url, { headers }), { url });
  },
  async 'node:http'(t, verifier, change = () => {}) {
    const check = forExpress(verifier, REQUIREMENTS);
    const url = await listen(t, createServer((req, res) => {
      change(req.headers);
      check(req, res, () => res.end(JSON.stringify({ sub: req.claims.sub })));
    }));
    return Object.assign((headers) => fetch(url, { headers }), { url });
  },
  async fastify(t, verifier, change = () => {}) {
    const app = fastify();
    app.addHook('onRequest', async (request) => change(request.headers));
    app.addHook('onRequest', forFastify(verifier));
    app.get('/', { onRequest: forFastify(verifier, REQUIREMENTS) }, async (request) => ({ sub: request.claims.sub }));
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    t.after(() => app.close());
    return Object.assign((headers) => fetch(url, { headers }), { url });
  },
  async hono(t, verifier) {
    const app = new Hono();
    app.use(forHono(verifier));
    app.get('/', forHono(verifier, REQUIREMENTS), (context) => context.json({ sub: context.get('claims').sub }));
    return async (headers) => app.request('/', { headers });
  },
  async next(t, verifier) {
    const handler = (request, { params, claims }) => Response.json({ sub: claims.sub, ...params });
    const GET = forNext(verifier, handler, REQUIREMENTS);
    return (headers) => GET(new Request('https://orders.example.org/', { headers }), { params: {} });
  },
};

for (const [name, make] of Object.entries(FRAMEWORKS)) {
  test(`${name}: valid tokens pass, others get the response of RFC 6750`, async (t) => {
    const { signet, verifier, errors } = await setUp(t);
    const request = await make(t, verifier);
    const bearer = async (claims) => ({ authorization: `Bearer ${await signet.token(claims)}` });
    const allowed = { scope: 'read write admin' };

    const valid = await request(await bearer(allowed));
    assert.deepEqual([valid.status, await valid.json()], [200, { sub: 'user-1' }]);

    const invalid = (description) => `Bearer error="invalid_token", error_description="${description}"`;
    const cases = [
      [{}, 401, 'missing', 'Bearer'],
      [{ authorization: 'Basic YTpi' }, 401, 'missing', 'Bearer'],
      [{ authorization: 'Bearer' }, 400, 'invalid_request', 'Bearer error="invalid_request"'],
      [{ authorization: 'Bearer x y' }, 400, 'invalid_request', 'Bearer error="invalid_request"'],
      [{ authorization: 'Bearer x' }, 401, 'malformed', invalid('The access token is malformed')],
      [await bearer({ aud: 'other' }), 401, 'wrong_audience',
        invalid('The access token was issued for another audience')],
      [await bearer({ exp: 5 }), 401, 'expired', invalid('The access token has expired')],
      [await bearer({ ...allowed, sid: undefined }), 401, 'wrong_subject',
        invalid('The access token was issued to another kind of subject')],
      [await bearer({ scope: 'read' }), 403, 'insufficient_scope',
        'Bearer error="insufficient_scope", error_description="The access token lacks a scope", '
          + 'scope="read write"'],
    ];
    for (const [headers, status, code, challenge] of cases) {
      const response = await request(headers);
      const body = await response.json();
      assert.equal(response.status, status, code);
      assert.deepEqual(Object.keys(body), ['type', 'title', 'status']);
      assert.deepEqual([body.type, body.status], [code, status]);
      assert.equal(response.headers.get('www-authenticate'), challenge);
      assert.equal(response.headers.get('content-type').split(';')[0], 'application/problem+json');
      assert.equal(response.headers.get('cache-control'), 'no-store');
    }
    signet.intercept = () => new Response('', { status: 500 });
    await until('the feed fails', () => errors.length > 0);
    signet.clock.advance(11_000);
    const stale = await request(await bearer(allowed));
    const { type } = await stale.json();
    assert.deepEqual([stale.status, type], [503, 'stale']);
    assert.deepEqual([stale.headers.get('retry-after'), stale.headers.get('www-authenticate')], ['5', null]);
  });
}

for (const name of ['express', 'node:http', 'fastify']) {
  test(`${name}: of two tokens none is taken`, async (t) => {
    const { signet, verifier } = await setUp(t);
    const { url } = await FRAMEWORKS[name](t, verifier);
    const valid = `Bearer ${await signet.token({ scope: 'read write' })}`;
    for (const [authorization, status] of [[[valid], 200], [[valid, valid], 400], [[valid, 'Basic YTpi'], 400]]) {
      const sent = httpRequest(url, { headers: { authorization } }).end();
      const [response] = await once(sent, 'response');
      response.resume();
      assert.equal(response.statusCode, status);
    }
  });

  test(`${name}: the token is the one that middleware has left in the headers`, async (t) => {
    const { signet, verifier } = await setUp(t);
    const valid = `Bearer ${await signet.token({ scope: 'read write' })}`;
    const cases = [
      ['deleted', valid, (headers) => { delete headers.authorization; }, 401],
      ['replaced', 'Bearer x', (headers) => { headers.authorization = valid; }, 200],
      ['replaced by another one', valid, (headers) => { headers.authorization = 'Bearer x'; }, 401],
      ['added', undefined, (headers) => { headers.authorization = valid; }, 200],
    ];
    for (const [what, authorization, change, status] of cases) {
      const request = await FRAMEWORKS[name](t, verifier, change);
      assert.equal((await request(authorization ? { authorization } : {})).status, status, what);
    }
  });
}

test('misspelt requirements show when the routes are made', async (t) => {
  const { verifier } = await setUp(t, { feed: 'off' });
  for (const make of [forExpress, forFastify, forHono]) {
    assert.throws(() => make(verifier, { scope: 'read' }), /unknown requirement: scope/);
  }
  assert.throws(() => forNext(verifier, () => new Response(), { scope: 'read' }), /unknown requirement: scope/);
});

test('errors that are no refusal are thrown again', () => {
  for (const render of [problem, toResponse]) {
    assert.throws(() => render(new RangeError('a bug')), RangeError);
    assert.doesNotThrow(() => render(new VerifyError('missing')));
  }
});

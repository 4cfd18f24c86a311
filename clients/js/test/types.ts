// Types that callers rely on: this file must compile, and the lines with @ts-expect-error must not.

import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';

import { createVerifier, type ErrorCode, problem, toResponse, type VerifierOptions, VerifyError } from '@signet/verify';
import { requireToken as forExpress } from '@signet/verify/express';
import { requireToken as forFastify } from '@signet/verify/fastify';
import { requireToken as forHono } from '@signet/verify/hono';

const options: VerifierOptions = { issuer: 'https://id.example.org', audience: 'orders', whenStale: 'ask', leeway: 1 };
const verifier = createVerifier(options);

const claims = await verifier.verify('token', { scopes: ['read'], subject: 'client' });
const [sub, sid]: [string, string | undefined] = [claims.sub, claims.sid];
claims.scopes.has(sid ?? sub);

// @ts-expect-error the audience is required
createVerifier({ issuer: 'https://id.example.org' });
// @ts-expect-error the requirement is called scopes
void verifier.verify('token', { scope: 'read' });
// @ts-expect-error claims cannot be changed
claims.sub = sub;
// @ts-expect-error scopes cannot be changed
claims.scopes.add('admin');

try {
  await verifier.verifyAuthorization(null);
} catch (error) {
  if (error instanceof VerifyError) {
    const code: ErrorCode = error.code;
    const status: 400 | 401 | 403 | 503 = error.status;
    console.log(code, status, error.scopes, problem(error).body, toResponse(error).status);
  }
}

express().use(forExpress(verifier)).get('/', (req, res) => void res.send(req.claims?.sub));
fastify().addHook('onRequest', forFastify(verifier)).get('/', async (request) => request.claims?.sub);
new Hono().use(forHono(verifier)).get('/', (context) => context.text(context.get('claims').sub));

// The types describe what the modules export.
const modules: {
  index: typeof import('@signet/verify');
  express: typeof import('@signet/verify/express');
  fastify: typeof import('@signet/verify/fastify');
  hono: typeof import('@signet/verify/hono');
  next: typeof import('@signet/verify/next');
} = {
  index: await import('../src/index.js'),
  express: await import('../src/express.js'),
  fastify: await import('../src/fastify.js'),
  hono: await import('../src/hono.js'),
  next: await import('../src/next.js'),
};
console.log(modules, verifier.status().staleness);
verifier.close();

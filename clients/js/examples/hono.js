// For Deno, Bun and Node: the default export has a `fetch` method.

import { Hono } from 'hono';
import { createVerifier } from '@signet/verify';
import { requireToken } from '@signet/verify/hono';

const verifier = createVerifier({ issuer: 'http://127.0.0.1:8000', audience: 'signet' });
const app = new Hono();

app.get('/orders', requireToken(verifier, { scopes: ['orders:read'] }), (context) => {
  return context.json({ user: context.get('claims').sub, orders: [] });
});

export default app;

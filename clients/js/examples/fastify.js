import Fastify from 'fastify';
import { createVerifier } from '@signet/verify';
import { requireToken } from '@signet/verify/fastify';

const verifier = createVerifier({ issuer: 'http://127.0.0.1:8000', audience: 'signet' });
const app = Fastify();
app.addHook('onClose', () => verifier.close());

app.get('/orders', { onRequest: requireToken(verifier, { subject: 'user' }) }, async (request) => {
  return { user: request.claims?.sub, orders: [] };
});

await app.listen({ port: 3000 });

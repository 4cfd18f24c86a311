// A Cloudflare Worker: nothing runs between requests, so the feed is read when a token is verified.

import { createVerifier } from '@signet/verify';
import { requireToken } from '@signet/verify/next';

const verifier = createVerifier({ issuer: 'https://id.example.org', audience: 'orders', background: false });

const handler = requireToken(verifier, (_request, { claims }) => Response.json({ user: claims.sub, orders: [] }));

export default { fetch: (/** @type {Request} */ request) => handler(request, {}) };

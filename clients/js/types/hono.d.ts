import type { MiddlewareHandler } from 'hono';

import type { Claims, Requirements, Verifier } from './index.js';

/** Lets a request pass if its token is valid, with its claims in `c.get('claims')`. */
export function requireToken(
  verifier: Verifier,
  requirements?: Requirements,
): MiddlewareHandler<{ Variables: { claims: Claims } }>;

import type { FastifyReply, FastifyRequest } from 'fastify';

import type { Claims, Requirements, Verifier } from './index.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** The claims of the verified token, behind `requireToken`. */
    claims?: Claims;
  }
}

/** A hook that lets a request pass if its token is valid, with its claims in `request.claims`. */
export function requireToken(
  verifier: Verifier,
  requirements?: Requirements,
): (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

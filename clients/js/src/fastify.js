// A hook for Fastify: `onRequest` of the whole server, a plugin or a route.

import { authorizationOf } from './express.js';
import { checkRequirements } from './options.js';
import { problem } from './response.js';

/** @type {typeof import('../types/fastify.d.ts').requireToken} */
export function requireToken(verifier, requirements) {
  checkRequirements(requirements);
  return async (request, reply) => {
    try {
      request.claims = await verifier.verifyAuthorization(authorizationOf(request.raw), requirements);
    } catch (error) {
      const { status, headers, body } = problem(error);
      return reply.code(status).headers(headers).send(body);
    }
  };
}

// Middleware for Hono.

import { checkRequirements } from './options.js';
import { toResponse } from './response.js';

/** @type {typeof import('../types/hono.d.ts').requireToken} */
export function requireToken(verifier, requirements) {
  checkRequirements(requirements);
  return async (context, next) => {
    try {
      context.set('claims', await verifier.verifyAuthorization(context.req.header('authorization'), requirements));
    } catch (error) {
      return toResponse(error);
    }
    await next();
  };
}

// Route handlers of Next.js, and everything else that makes a Response of a Request: Workers, Deno.serve, Bun.serve.

import { checkRequirements } from './options.js';
import { toResponse } from './response.js';

/** @type {typeof import('../types/next.d.ts').requireToken} */
export function requireToken(verifier, handler, requirements) {
  checkRequirements(requirements);
  return async (request, context) => {
    let claims;
    try {
      claims = await verifier.verifyAuthorization(request.headers.get('authorization'), requirements);
    } catch (error) {
      return toResponse(error);
    }
    return handler(request, { ...context, claims });
  };
}

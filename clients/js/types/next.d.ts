import type { Claims, Requirements, Verifier } from './index.js';

/**
 * A route handler that calls `handler` if the token of the request is valid, with its claims as `context.claims`.
 */
export function requireToken<Req extends Pick<Request, 'headers'>, Context extends object = object>(
  verifier: Verifier,
  handler: (request: Req, context: Context & { claims: Claims }) => Response | Promise<Response>,
  requirements?: Requirements,
): (request: Req, context: Context) => Promise<Response>;

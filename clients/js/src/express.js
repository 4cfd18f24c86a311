// Middleware for Express, and for servers of node:http with the same signature.

import { checkRequirements } from './options.js';
import { problem } from './response.js';

/**
 * The field `Authorization` of a request in Node. Of several, `headers` has the first one, and a proxy may have checked
 * another one: together they are no token. A single one is read from `headers`, which middleware may have changed.
 * @param {import('../types/express.d.ts').IncomingRequest} request
 */
export function authorizationOf({ headers, headersDistinct }) {
  const sent = headersDistinct?.authorization ?? [];
  return sent.length > 1 ? sent.join(', ') : headers.authorization;
}

/** @type {typeof import('../types/express.d.ts').requireToken} */
export function requireToken(verifier, requirements) {
  checkRequirements(requirements);
  return async (req, res, next) => {
    try {
      const claims = await verifier.verifyAuthorization(authorizationOf(req), requirements);
      Object.assign(req, { claims });
    } catch (error) {
      return refuse(error, res, next);
    }
    next();
  };
}

/**
 * @param {unknown} error
 * @param {import('../types/express.d.ts').OutgoingResponse} res
 * @param {(error?: unknown) => void} next
 */
function refuse(error, res, next) {
  let response;
  try {
    response = problem(error);
  } catch (unexpected) {
    return next(unexpected);
  }
  res.statusCode = response.status;
  for (const [name, value] of Object.entries(response.headers)) res.setHeader(name, value);
  res.end(response.body);
}

// Responses to requests whose token is refused: RFC 6750 for the challenge, RFC 9457 for the body.

import { ERRORS, VerifyError } from './errors.js';

/** Seconds. The feed is asked at least this often. */
const RETRY_AFTER = '5';

/** @type {typeof import('../types/index.d.ts').problem} */
export function problem(error) {
  if (!(error instanceof VerifyError)) throw error;
  const { status, title } = ERRORS[error.code];
  /** @type {Record<string, string>} */
  const headers = { 'content-type': 'application/problem+json', 'cache-control': 'no-store' };
  if (status === 503) headers['retry-after'] = RETRY_AFTER;
  else headers['www-authenticate'] = challenge(error);
  return { status, headers, body: JSON.stringify({ type: error.code, title, status }) };
}

/** @type {typeof import('../types/index.d.ts').toResponse} */
export function toResponse(error) {
  const { status, headers, body } = problem(error);
  return new Response(body, { status, headers });
}

/** @param {VerifyError} error */
function challenge(error) {
  // RFC 6750, 3.1: a request without a token gets no error code.
  if (error.code === 'missing') return 'Bearer';
  if (error.code === 'invalid_request') return 'Bearer error="invalid_request"';
  const description = `error_description="${ERRORS[error.code].title}"`;
  if (error.code !== 'insufficient_scope') return `Bearer error="invalid_token", ${description}`;
  return `Bearer error="insufficient_scope", ${description}, scope="${error.scopes.join(' ')}"`;
}

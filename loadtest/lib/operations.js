// The operations: one function per call of Signet, with its tag and its checks. Knows nothing of rates or of the data
// set.

import { check } from 'k6';
import http from 'k6/http';
import { BASE_URL } from './settings.js';

const JSON_BODY = { 'Content-Type': 'application/json' };

/** The body as an object; an empty object if it is not JSON, because a check must not throw. */
function parseBody(response) {
  try {
    return JSON.parse(response.body) || {};
  } catch (_) {
    return {};
  }
}

/**
 * Sends a request. `route` is the path without ids: it is a tag of the metrics, and each id would create a new
 * series.
 */
function send(operation, method, route, { path = route, body = null, headers = {} } = {}) {
  const tags = { operation, name: `${method} ${route}` };
  return http.request(method, BASE_URL + path, body, { headers, tags, timeout: '10s' });
}

/** Checks a response; the names of the checks begin with the operation. */
function checkResponse(operation, response, checks) {
  const named = {};
  for (const [name, predicate] of Object.entries(checks)) named[`${operation}: ${name}`] = predicate;
  return check(response, named, { operation });
}

/** POST /verify, as a service calls it. */
export function verify(token) {
  const response = send('verify', 'POST', '/verify', { body: JSON.stringify({ token }), headers: JSON_BODY });
  checkResponse('verify', response, {
    200: (r) => r.status === 200,
    active: (r) => parseBody(r).active === true,
    'the user id': (r) => typeof (parseBody(r).claims || {}).sub === 'string',
  });
  return response;
}

/** GET /verify with a bearer token, as a proxy calls it. */
export function verifyForProxy(token) {
  const response = send('verify', 'GET', '/verify', { headers: { Authorization: `Bearer ${token}` } });
  checkResponse('verify', response, {
    200: (r) => r.status === 200,
    active: (r) => parseBody(r).active === true,
    'the user id': (r) => Boolean(r.headers['X-Auth-Subject']),
  });
  return response;
}

/** POST /verify/batch. */
export function verifyBatch(tokens) {
  const response = send('verify', 'POST', '/verify/batch', { body: JSON.stringify({ tokens }), headers: JSON_BODY });
  checkResponse('verify', response, {
    200: (r) => r.status === 200,
    'all active': (r) => {
      const { results } = parseBody(r);
      return Array.isArray(results) && results.length === tokens.length && results.every(({ active }) => active === true);
    },
  });
  return response;
}

/** Checks the response and stores the new tokens in the session. */
function updateSession(session, response) {
  const { access_token, refresh_token, expires_in = 0 } = parseBody(response);
  const passed = checkResponse('refresh', response, {
    200: (r) => r.status === 200,
    'an access token': () => typeof access_token === 'string' && access_token !== session.access,
    'another refresh token': () => typeof refresh_token === 'string' && refresh_token !== session.refresh,
  });
  if (passed) {
    session.access = access_token;
    session.refresh = refresh_token;
    session.until = Date.now() + expires_in * 1000;
  }
  return { response, ended: response.status >= 400 && response.status < 500 && response.status !== 429 };
}

/** POST /oauth/token: rotates a session's refresh token. */
export function refresh(session) {
  const body = { grant_type: 'refresh_token', refresh_token: session.refresh };
  return updateSession(session, send('refresh', 'POST', '/oauth/token', { body }));
}

/**
 * The refresh of FastAPI MyAuth: the token as bearer. Its access tokens have the configured lifetime, half an hour
 * by default.
 */
export function refreshMyAuth(session) {
  return updateSession(session, send('refresh', 'POST', '/auth/login/refresh', { headers: { Authorization: `Bearer ${session.refresh}` } }));
}

/** POST /sessions: signs in with a password. `session` is undefined if that failed. */
export function signIn(email, password) {
  const body = JSON.stringify({ email, password });
  const response = send('sign-in', 'POST', '/sessions', { body, headers: JSON_BODY });
  const { access_token, refresh_token, session_id } = parseBody(response);
  const passed = checkResponse('sign-in', response, {
    201: (r) => r.status === 201,
    'both tokens': () => typeof access_token === 'string' && typeof refresh_token === 'string',
  });
  return { response, session: passed ? { access: access_token, refresh: refresh_token, id: session_id } : undefined };
}

/** DELETE /sessions/{id}: signs out. */
export function signOut({ access, id }) {
  const headers = { Authorization: `Bearer ${access}` };
  const response = send('sign-out', 'DELETE', '/sessions/{id}', { path: `/sessions/${id}`, headers });
  checkResponse('sign-out', response, { 204: (r) => r.status === 204 });
}

/** Requests a mailed code. It cannot be redeemed here, because k6 cannot read the mail. */
export function sendCode(email) {
  const route = '/auth/verification/send-code';
  const response = send('send-code', 'POST', route, { body: JSON.stringify({ email }), headers: JSON_BODY });
  checkResponse('send-code', response, { 202: (r) => r.status === 202, success: (r) => parseBody(r).success === true });
}

/** GET /verify with an API key, as a gateway does for each request of its clients. */
export function useKey(key) {
  const response = send('key', 'GET', '/verify', { headers: { 'X-API-Key': key } });
  checkResponse('key', response, { 200: (r) => r.status === 200, 'an API key': (r) => (parseBody(r).claims || {}).token_type === 'api_key' });
  return response;
}

/** POST /oauth/token: a short-lived token for an API key. */
export function exchangeKey(key) {
  const body = { grant_type: 'client_credentials' };
  const response = send('key-exchange', 'POST', '/oauth/token', { body, headers: { 'X-API-Key': key } });
  checkResponse('key-exchange', response, { 200: (r) => r.status === 200, 'an access token': (r) => typeof parseBody(r).access_token === 'string' });
}

/** GET the JWKS, with `If-None-Match` if `etag` is given; returns the ETag of the response. */
export function jwks(etag) {
  const headers = etag ? { 'If-None-Match': etag } : {};
  const response = send('jwks', 'GET', '/.well-known/jwks.json', { headers });
  checkResponse('jwks', response, {
    // 200 is right as well: the keys may have changed.
    'the keys or 304': (r) => r.status === 200 || (r.status === 304 && Boolean(etag)),
    'Ed25519 keys': (r) => r.status === 304 || (parseBody(r).keys || []).some(({ kty, crv, x }) => kty === 'OKP' && crv === 'Ed25519' && x),
    'an ETag': (r) => Boolean(r.headers.Etag),
  });
  return response.headers.Etag;
}

// What is asked of Signet, and what must come back: an operation a function, each with its tag and its checks. Knows nothing of rates,
// nor of whose tokens these are.

import { check } from 'k6';
import http from 'k6/http';
import { BASE_URL } from './settings.js';

const JSON_BODY = { 'Content-Type': 'application/json' };

/** What was answered, as an object; an empty one if it is none. A check that throws would be no check. */
function body(response) {
  try {
    return JSON.parse(response.body) || {};
  } catch (_) {
    return {};
  }
}

/** `route` is the path as the metrics know it: with ids in it, each would be a metric of its own. */
function ask(operation, method, route, { path = route, send = null, headers = {} } = {}) {
  const tags = { operation, name: `${method} ${route}` };
  return http.request(method, BASE_URL + path, send, { headers, tags, timeout: '10s' });
}

/** Whether all of it is so; the names say of which operation. */
function must(operation, response, facts) {
  const named = {};
  for (const [fact, holds] of Object.entries(facts)) named[`${operation}: ${fact}`] = holds;
  return check(response, named, { operation });
}

/** POST /verify, as services ask. Gives the answer. */
export function verify(token) {
  const response = ask('verify', 'POST', '/verify', { send: JSON.stringify({ token }), headers: JSON_BODY });
  must('verify', response, {
    200: (r) => r.status === 200,
    active: (r) => body(r).active === true,
    'says whose it is': (r) => typeof (body(r).claims || {}).sub === 'string',
  });
  return response;
}

/** GET /verify, as proxies ask: of a bearer token. */
export function verifyForProxy(token) {
  const response = ask('verify', 'GET', '/verify', { headers: { Authorization: `Bearer ${token}` } });
  must('verify', response, {
    200: (r) => r.status === 200,
    active: (r) => body(r).active === true,
    'says whose it is': (r) => Boolean(r.headers['X-Auth-Subject']),
  });
  return response;
}

/** POST /verify/batch. */
export function verifyBatch(tokens) {
  const response = ask('verify', 'POST', '/verify/batch', { send: JSON.stringify({ tokens }), headers: JSON_BODY });
  must('verify', response, {
    200: (r) => r.status === 200,
    'all active': (r) => {
      const { results } = body(r);
      return Array.isArray(results) && results.length === tokens.length && results.every(({ active }) => active === true);
    },
  });
  return response;
}

/** Takes the new tokens over, and says whether there were any. */
function renewed(session, response) {
  const { access_token, refresh_token, expires_in = 0 } = body(response);
  const right = must('refresh', response, {
    200: (r) => r.status === 200,
    'an access token': () => typeof access_token === 'string' && access_token !== session.access,
    'another refresh token': () => typeof refresh_token === 'string' && refresh_token !== session.refresh,
  });
  if (right) {
    session.access = access_token;
    session.refresh = refresh_token;
    session.until = Date.now() + expires_in * 1000;
  }
  return { right, response, over: response.status >= 400 && response.status < 500 && response.status !== 429 };
}

/** POST /oauth/token: rotates a session's refresh token. */
export function refresh(session) {
  const send = { grant_type: 'refresh_token', refresh_token: session.refresh };
  return renewed(session, ask('refresh', 'POST', '/oauth/token', { send }));
}

/** The same as FastAPI MyAuth has it: the token as bearer. Its access tokens live as long as the settings say, half an hour. */
export function refreshMyAuth(session) {
  return renewed(session, ask('refresh', 'POST', '/auth/login/refresh', { headers: { Authorization: `Bearer ${session.refresh}` } }));
}

/** POST /sessions: signs in with a password. Gives the tokens, if it was let in. */
export function signIn(email, password) {
  const send = JSON.stringify({ email, password });
  const response = ask('sign-in', 'POST', '/sessions', { send, headers: JSON_BODY });
  const { access_token, refresh_token, session_id } = body(response);
  const right = must('sign-in', response, {
    201: (r) => r.status === 201,
    'both tokens': () => typeof access_token === 'string' && typeof refresh_token === 'string',
  });
  return { response, session: right ? { access: access_token, refresh: refresh_token, id: session_id } : undefined };
}

/** DELETE /sessions/{id}: signs out. */
export function signOut({ access, id }) {
  const headers = { Authorization: `Bearer ${access}` };
  const response = ask('sign-out', 'DELETE', '/sessions/{id}', { path: `/sessions/${id}`, headers });
  must('sign-out', response, { 204: (r) => r.status === 204 });
}

/** Asks for a mailed code. It cannot be handed in from here: only who reads the mail knows it. */
export function sendCode(email) {
  const route = '/auth/verification/send-code';
  const response = ask('send-code', 'POST', route, { send: JSON.stringify({ email }), headers: JSON_BODY });
  must('send-code', response, { 202: (r) => r.status === 202, success: (r) => body(r).success === true });
}

/** GET /verify with an API key, as a gateway does for each request of its clients. */
export function useKey(key) {
  const response = ask('key', 'GET', '/verify', { headers: { 'X-API-Key': key } });
  must('key', response, { 200: (r) => r.status === 200, 'an API key': (r) => (body(r).claims || {}).token_type === 'api_key' });
  return response;
}

/** POST /oauth/token: a short-lived token for an API key. */
export function exchangeKey(key) {
  const send = { grant_type: 'client_credentials' };
  const response = ask('key-exchange', 'POST', '/oauth/token', { send, headers: { 'X-API-Key': key } });
  must('key-exchange', response, { 200: (r) => r.status === 200, 'an access token': (r) => typeof body(r).access_token === 'string' });
}

/** GET the keys that verify; `etag` is of those that are known. Gives the one of those that came. */
export function jwks(etag) {
  const headers = etag ? { 'If-None-Match': etag } : {};
  const response = ask('jwks', 'GET', '/.well-known/jwks.json', { headers });
  must('jwks', response, {
    // The keys may have changed since.
    'the keys, or that they are the same': (r) => r.status === 200 || (r.status === 304 && Boolean(etag)),
    'Ed25519 keys': (r) => r.status === 304 || (body(r).keys || []).some(({ kty, crv, x }) => kty === 'OKP' && crv === 'Ed25519' && x),
    'an ETag': (r) => Boolean(r.headers.Etag),
  });
  return response.headers.Etag;
}

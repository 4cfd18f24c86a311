// The session of the pages. The refresh token is in a cookie that scripts cannot read; the access token is in this
// module's memory and is lost when the page closes. All tabs of the browser share the cookie.

import { send } from './http.js';
import { signal } from './view.js';

/** @typedef {import('./http.js').Result} Result */
/** @typedef {import('./http.js').Options} Options */

/**
 * `checking` until the cookie was tried; `ended` if a session of this page has ended without the user's doing;
 * `offline` if the server did not answer, or could not.
 * @typedef {'checking' | 'signed-out' | 'signed-in' | 'ended' | 'offline'} SessionState
 */

/** @type {import('../vendor/signals.js').Signal<SessionState>} */
export const session = signal(/** @type {SessionState} */ ('checking'));

/**
 * Why it is not known whether there is a session, while `session` is `offline`.
 * @type {import('../vendor/signals.js').Signal<Result | null>}
 */
export const failure = signal(/** @type {Result | null} */ (null));

const PATH = '/account/session';

/** An access token is replaced this long before it expires, so that it does not expire on its way. */
const EARLY_MS = 30_000;

let access = { token: '', until: 0 };

/** @type {Promise<Result> | null} */
let refreshing = null;

// The other tabs: they have the same cookie, so they are signed in and out together.
const tabs = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('signet.session');
tabs?.addEventListener('message', ({ data }) => {
  if (data === 'signed-out') forget('signed-out');
  if (data === 'signed-in' && session.value !== 'signed-in') void restoreSession();
});

// A page that the browser kept for its back button: the session may have ended meanwhile.
addEventListener('pageshow', (event) => {
  if (event.persisted) void restoreSession();
});

/** @param {SessionState} state */
function forget(state) {
  access = { token: '', until: 0 };
  session.value = state;
}

/** @param {Result} result */
function accept(result) {
  access = { token: result.body.access_token, until: Date.now() + result.body.expires_in * 1000 };
  session.value = 'signed-in';
}

/**
 * One tab refreshes at a time. Without the lock, a tab could send a refresh token that others have replaced twice,
 * which the server takes for theft. Browsers have no locks on plain http to other hosts; the server then answers two
 * tabs at once with the same token, as long as they ask within its grace.
 * @template T
 * @param {() => Promise<T>} action
 * @returns {Promise<T>}
 */
const alone = (action) => (navigator.locks ? navigator.locks.request('signet.session', action) : action());

/** @returns {Promise<Result>} */
function refresh() {
  refreshing ??= alone(() => send('POST', `${PATH}/refresh`, { body: {}, credentials: 'same-origin', keepalive: true }))
    .then((result) => {
      if (result.status === 201) accept(result);
      // 204: this browser has no cookie.
      const none = result.status === 401 || result.status === 204;
      // Of several requests that are refused at the same time, only the first finds a cookie to refresh with.
      if (none) forget(session.value === 'signed-in' || session.value === 'ended' ? 'ended' : 'signed-out');
      return none ? { ...result, ok: false, status: 401, type: result.type || 'invalid_refresh_token' } : result;
    })
    .finally(() => { refreshing = null; });
  return refreshing;
}

/** Signs in with the cookie, if there is one. */
export async function restoreSession() {
  const result = await refresh();
  if (result.ok || result.status === 401 || session.value === 'signed-in') return;
  failure.value = result;
  session.value = 'offline';
}

/**
 * Opens a session. The body is that of `POST /sessions` or of `POST /magic-links/redeem`.
 * @param {Record<string, unknown>} body
 * @returns {Promise<Result>}
 */
export async function signIn(body) {
  const result = await alone(() => send('POST', PATH, { body, credentials: 'same-origin' }));
  if (result.ok) {
    accept(result);
    tabs?.postMessage('signed-in');
  }
  return result;
}

/**
 * Changes the password. That ends the user's other sessions, and replaces the session of this browser. The body is that
 * of `PUT /me/password`.
 * @param {Record<string, unknown>} body
 * @returns {Promise<Result>}
 */
export async function changePassword(body) {
  if (access.until - EARLY_MS < Date.now()) {
    const refreshed = await refresh();
    if (!refreshed.ok) return refreshed;
  }
  const options = { body, token: access.token, credentials: /** @type {const} */ ('same-origin') };
  const result = await alone(() => send('PUT', `${PATH}/password`, options));
  if (result.ok) accept(result);
  return result;
}

/**
 * The claims of a signed token, which are not checked.
 * @param {string} token
 * @returns {any}
 */
export function claimsOf(token) {
  try {
    const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    return JSON.parse(atob(payload)) ?? {};
  } catch {
    return {};
  }
}

/**
 * The id of the session that the access token is of, even if it has expired.
 * @returns {string | undefined}
 */
export const sessionId = () => claimsOf(access.token).sid;

/** Ends the session of this browser. */
export async function signOut() {
  const result = await alone(() => send('DELETE', PATH, { credentials: 'same-origin', keepalive: true }));
  if (result.ok || result.status === 401) {
    forget('signed-out');
    tabs?.postMessage('signed-out');
  }
  return result;
}

/**
 * Calls the native API as the user. Refreshes the access token when it is due, and once if the server refuses it.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Options} [options]
 * @returns {Promise<Result>}
 */
export async function call(method, path, body, options = {}) {
  if (access.until - EARLY_MS < Date.now()) {
    const refreshed = await refresh();
    if (!refreshed.ok) return refreshed;
  }
  const result = await send(method, path, { ...options, body, token: access.token });
  if (result.status !== 401 || !['invalid_token', 'missing_credentials'].includes(result.type)) return result;
  const refreshed = await refresh();
  return refreshed.ok ? send(method, path, { ...options, body, token: access.token }) : refreshed;
}

// Checks of `setup` before the load. A run that cannot succeed stops here with the reason, and k6 exits with 107.

import http from 'k6/http';
import { BASE_URL } from './settings.js';
import { keys, probeSession, sessions, usableSessions, users } from './dataset.js';

const tags = { operation: 'setup' };

/** Signet responds at BASE_URL. */
export function checkReachable() {
  const { status, error } = http.get(`${BASE_URL}/.well-known/jwks.json`, { tags });
  if (status !== 200) throw new Error(`no Signet at BASE_URL=${BASE_URL}: ${error || `GET /.well-known/jwks.json returns ${status}`}`);
}

/** The server accepts the access tokens of the data set. */
export function checkTokensAccepted() {
  if (sessions.length === 0) throw new Error('the data set has no sessions: seed again with --sessions');
  const { access_token, access_until } = sessions[0];
  // Expired tokens are fine for refreshes: a data set may be older than its access tokens.
  if (Date.parse(access_until) < Date.now()) return;
  const { status, body } = http.get(`${BASE_URL}/verify`, { headers: { Authorization: `Bearer ${access_token}` }, tags });
  if (status !== 200) throw new Error(`the server rejects the data set's tokens, seed again with the server's own settings: ${body}`);
}

/** The access tokens stay valid until the end of the run. */
export function checkTokenLifetime(length) {
  checkTokensAccepted();
  const left = Math.floor((Date.parse(sessions[0].access_until) - Date.now()) / 1000);
  if (left < length) {
    throw new Error(`the data set's access tokens last ${left} s, the run ${length} s: seed with --set api.native.access=12h`);
  }
}

/** There is a session for each virtual user, and no other run has used the refresh tokens. */
export function checkSessionsUnused(vus) {
  if (usableSessions() < vus) {
    throw new Error(`${vus} virtual users need ${vus + 1} sessions, there are ${sessions.length}: seed more, or set VUS`);
  }
  const form = { grant_type: 'refresh_token', refresh_token: probeSession().refresh_token };
  const { status, body } = http.post(`${BASE_URL}/oauth/token`, form, { tags });
  if (status !== 200) throw new Error(`the data set was used by another run or belongs to another server: seed again (${status}: ${body})`);
}

/** The data set has users and API keys. */
export function checkUsersAndKeys() {
  if (users.length === 0 || keys.length === 0) throw new Error('the data set has no users or no API keys: seed again with --users and --api-keys');
}

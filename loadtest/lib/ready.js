// What `setup` looks at before the load begins. A run that could not succeed is stopped here, with the reason: k6 ends with 107.

import http from 'k6/http';
import { BASE_URL } from './settings.js';
import { keys, seal, sessions, shared, users } from './dataset.js';

const tags = { operation: 'setup' };

/** Signet answers. */
export function reachable() {
  const { status, error } = http.get(`${BASE_URL}/.well-known/jwks.json`, { tags });
  if (status !== 200) throw new Error(`no Signet at BASE_URL=${BASE_URL}: ${error || `GET /.well-known/jwks.json answers ${status}`}`);
}

/** The access tokens are this Signet's. */
export function tokensTaken() {
  if (sessions.length === 0) throw new Error('the data set has no sessions: seed some');
  const { access_token, access_until } = sessions[0];
  // Who refreshes needs none that lasts, and a data set may be older than its access tokens.
  if (Date.parse(access_until) < Date.now()) return;
  const { status, body } = http.get(`${BASE_URL}/verify`, { headers: { Authorization: `Bearer ${access_token}` }, tags });
  if (status !== 200) throw new Error(`the data set's tokens are not good here, seed again with the server's own settings: ${body}`);
}

/** They are good to the end of the run, too. */
export function tokensLast(length) {
  tokensTaken();
  const left = Math.floor((Date.parse(sessions[0].access_until) - Date.now()) / 1000);
  if (left < length) {
    throw new Error(`the data set's access tokens last ${left} s, the run ${length} s: seed with --set api.native.access=12h`);
  }
}

/** There are sessions enough that each virtual user owns one, and no other run has used their refresh tokens. */
export function sessionsUnspent(vus) {
  if (shared() < vus) {
    throw new Error(`${vus} virtual users need ${vus + 1} sessions, there are ${sessions.length}: seed more, or set VUS`);
  }
  const form = { grant_type: 'refresh_token', refresh_token: seal().refresh_token };
  const { status, body } = http.post(`${BASE_URL}/oauth/token`, form, { tags });
  if (status !== 200) throw new Error(`the data set was used by another run, or is not from here: seed again (${status}: ${body})`);
}

/** There are people and keys for everything that is done in a day. */
export function peopled() {
  if (users.length === 0 || keys.length === 0) throw new Error('the data set lacks users or API keys: seed some');
}

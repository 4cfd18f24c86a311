// The signed-in user, as `GET /me` describes them.

import { call } from '../base/session.js';
import { signal } from '../base/view.js';

/**
 * @typedef {object} Me
 * @property {string} id
 * @property {string} email
 * @property {boolean} email_verified
 * @property {string | null} username
 * @property {string | null} full_name
 * @property {boolean} has_password
 * @property {boolean} superuser
 * @property {{ enabled: boolean, recovery_codes_left: number }} mfa
 */

/** @type {import('../vendor/signals.js').Signal<Me | null>} */
export const me = signal(/** @type {Me | null} */ (null));

/** Reads the user again, after a change. */
export async function loadMe() {
  const result = await call('GET', '/me');
  if (result.ok) me.value = result.body;
  return result;
}

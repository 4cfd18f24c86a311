// One request to this server, as a value: errors are results too, so that no caller forgets one.

import { BASE } from './facts.js';
import { hasText, t } from './words.js';

/**
 * The result of a request. `type` is the code of the problem document, or `offline` if there was no response.
 * @typedef {object} Result
 * @property {boolean} ok
 * @property {number} status
 * @property {any} body  the parsed JSON, or text; null without a body
 * @property {string} type
 * @property {number} retryAfter  seconds, 0 if the server did not say
 */

/**
 * @typedef {object} Options
 * @property {string} [token]  an access token
 * @property {unknown} [body]  sent as JSON
 * @property {Record<string, string>} [headers]
 * @property {'same-origin' | 'omit'} [credentials]  whether the cookie of the session is sent; by default it is not
 * @property {boolean} [keepalive]  finish even if the page is closed
 * @property {AbortSignal} [signal]
 */

/**
 * @param {string} method
 * @param {string} path  below the prefix of the native API
 * @param {Options} [options]
 * @returns {Promise<Result>}
 */
export async function send(method, path, options = {}) {
  const { token, body, credentials = 'omit', keepalive = false, signal = null } = options;
  /** @type {Record<string, string>} */
  const headers = { accept: 'application/json', ...options.headers };
  if (token) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  try {
    const response = await fetch(`${BASE}${path}`, {
      method, headers, credentials, keepalive, signal, body: body === undefined ? null : JSON.stringify(body),
      cache: 'no-store', redirect: 'error', referrerPolicy: 'no-referrer',
    });
    const text = await response.text();
    const content = /json/.test(response.headers.get('content-type') ?? '') ? parse(text) : text;
    const type = response.ok ? '' : content?.type ?? content?.error ?? '';
    const retryAfter = Number(response.headers.get('retry-after')) || 0;
    return { ok: response.ok, status: response.status, body: content || null, type, retryAfter };
  } catch {
    return { ok: false, status: 0, body: null, type: 'offline', retryAfter: 0 };
  }
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * An error in the user's words. Each page may have texts of its own for codes: `error.<code>`.
 * @param {Result} result
 * @returns {string}
 */
export function errorText(result) {
  if (result.status === 429) return t('error.rate_limited', { time: waitingTime(result.retryAfter) });
  if (hasText(`error.${result.type}`)) return t(`error.${result.type}`);
  return result.status >= 500 || result.status === 408 ? t('error.unavailable') : t('error.other');
}

/** @param {number} seconds */
function waitingTime(seconds) {
  const minutes = Math.max(1, Math.ceil(seconds / 60));
  return minutes < 120 ? t('time.minutes', { count: minutes }) : t('time.hours', { count: Math.ceil(minutes / 60) });
}

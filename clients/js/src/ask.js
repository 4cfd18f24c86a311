// Asks Signet about tokens while the feed is not current (policy `ask`). Tokens that wait at the same time are sent in
// one request.

import { parseJson } from './encoding.js';
import { ERRORS, FeedError, VerifyError } from './errors.js';
import { readBytes, statusError } from './http.js';
import { asObject } from './json.js';

// Bounds of a request: tokens, and their characters (the server reads two kilobytes per token of a full batch).
const MAX_BATCH = 1024;
const MAX_LENGTH = 1024 * 1024;
const MAX_BYTES = 8 * 1024 * 1024;
const TIMEOUT = 5_000;

/** Reasons of the server for which this library has another code. */
const REASONS = new Map([['revoked_key', 'revoked'], ['unknown_api_key', 'malformed'], ['stale', 'unavailable']]);

/** @typedef {{ resolve: () => void, reject: (error: unknown) => void }} Waiter */

export class Ask {
  /** @type {Map<string, Waiter[]>} */
  #waiting = new Map();
  #length = 0;
  #discovery;
  #http;
  #audience;

  /**
   * @param {import('./discovery.js').Discovery} discovery
   * @param {import('./http.js').Http} http
   * @param {string} audience
   */
  constructor(discovery, http, audience) {
    this.#discovery = discovery;
    this.#http = http;
    this.#audience = audience;
  }

  /**
   * Returns if the server says that the token is valid; otherwise throws.
   * @param {string} token
   * @returns {Promise<void>}
   */
  check(token) {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size === 0) setTimeout(() => this.#send(), 0);
      const waiters = this.#waiting.get(token);
      if (waiters) waiters.push({ resolve, reject });
      else this.#waiting.set(token, [{ resolve, reject }]);
      if (!waiters) this.#length += token.length;
      if (this.#waiting.size >= MAX_BATCH || this.#length >= MAX_LENGTH) this.#send();
    });
  }

  async #send() {
    const batch = this.#waiting;
    if (batch.size === 0) return;
    this.#waiting = new Map();
    this.#length = 0;
    try {
      const results = await this.#request([...batch.keys()]);
      for (const [index, waiters] of [...batch.values()].entries()) {
        const error = refusal(results[index]);
        for (const { resolve, reject } of waiters) error ? reject(error) : resolve();
      }
    } catch (cause) {
      for (const { reject } of [...batch.values()].flat()) reject(new VerifyError('unavailable', { cause }));
    }
  }

  /** @param {string[]} tokens */
  async #request(tokens) {
    const { verifyBatch } = await this.#discovery.get();
    const options = {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify({ tokens, aud: this.#audience }),
      timeout: TIMEOUT,
    };
    return this.#http.request(verifyBatch, options, async (response) => {
      if (response.status !== 200) throw statusError(response, 'the verification of a batch');
      const { results } = parseJson(await readBytes(response, MAX_BYTES), 'the verification of a batch');
      if (Array.isArray(results) && results.length === tokens.length) return results;
      throw new FeedError('invalid_response', 'the verification of a batch has another number of results');
    });
  }
}

/** @param {unknown} result */
function refusal(result) {
  const { active, reason } = asObject(result) ?? {};
  if (active === true) return undefined;
  const code = REASONS.get(String(reason)) ?? String(reason);
  const isKnown = Object.hasOwn(ERRORS, code);
  return new VerifyError(/** @type {import('../types/index.d.ts').ErrorCode} */ (isKnown ? code : 'revoked'));
}

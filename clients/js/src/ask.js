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

/**
 * A token that waits for its answer.
 * @typedef {object} Question
 * @property {Promise<void>} answer
 * @property {() => void} resolve
 * @property {(error: unknown) => void} reject
 * @property {number} waiters  How many verifications wait.
 */

export class Ask {
  /** @type {Map<string, Question>} Those that no request has yet, the oldest first. */
  #waiting = new Map();
  #isRunning = false;
  /** When the last request was sent. */
  #sentAt = -Infinity;
  #discovery;
  #http;
  #audience;
  /** Milliseconds: for a request that is under way, and then for the one with the token. */
  #longestWait;

  /**
   * @param {import('./discovery.js').Discovery} discovery
   * @param {import('./http.js').Http} http
   * @param {string} audience
   * @param {number} [longestWait]
   */
  constructor(discovery, http, audience, longestWait = 2 * TIMEOUT) {
    this.#discovery = discovery;
    this.#http = http;
    this.#audience = audience;
    this.#longestWait = longestWait;
  }

  /**
   * Returns if the server says that the token is valid; otherwise throws.
   * @param {string} token
   * @returns {Promise<void>}
   */
  async check(token) {
    const question = this.#waiting.get(token) ?? this.#add(token);
    question.waiters += 1;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const limit = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new VerifyError('unavailable')), this.#longestWait);
    });
    try {
      await Promise.race([question.answer, limit]);
    } finally {
      clearTimeout(timer);
      question.waiters -= 1;
      // Otherwise, after an outage, the server would first be asked about the tokens of requests that have ended.
      if (question.waiters === 0 && this.#waiting.get(token) === question) this.#waiting.delete(token);
    }
  }

  /**
   * @param {string} token
   * @returns {Question}
   */
  #add(token) {
    /** @type {() => void} */
    let resolve = () => {};
    /** @type {(error: unknown) => void} */
    let reject = () => {};
    const answer = new Promise((/** @type {(value: void) => void} */ onAnswer, onError) => {
      [resolve, reject] = [() => onAnswer(), onError];
    });
    // The answer may be an error that comes after every verification has stopped waiting.
    answer.catch(() => {});
    const question = { answer, resolve, reject, waiters: 0 };
    this.#waiting.set(token, question);
    // A runtime may have cancelled the request that sent the last one, and with it the work.
    if (!this.#isRunning || performance.now() - this.#sentAt > this.#longestWait) {
      this.#isRunning = true;
      this.#sentAt = performance.now();
      setTimeout(() => void this.#run(), 0);
    }
    return question;
  }

  /** Sends what waits. One request at a time, so that a server that does not answer holds no more of them. */
  async #run() {
    while (this.#waiting.size > 0) {
      this.#sentAt = performance.now();
      await this.#send(this.#take());
    }
    this.#isRunning = false;
  }

  /** Takes what one request can have. */
  #take() {
    /** @type {Map<string, Question>} */
    const batch = new Map();
    let length = 0;
    for (const [token, question] of this.#waiting) {
      length += token.length;
      if (batch.size > 0 && (batch.size === MAX_BATCH || length > MAX_LENGTH)) break;
      batch.set(token, question);
      this.#waiting.delete(token);
    }
    return batch;
  }

  /** @param {Map<string, Question>} batch */
  async #send(batch) {
    try {
      const results = await this.#request([...batch.keys()]);
      for (const [index, { resolve, reject }] of [...batch.values()].entries()) {
        const error = refusal(results[index]);
        if (error) reject(error);
        else resolve();
      }
    } catch (cause) {
      for (const { reject } of batch.values()) reject(new VerifyError('unavailable', { cause }));
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

// Reports to Signet what was read of the feed, so that its operator sees which followers lag. A report that fails is
// lost: nothing that is verified depends on it.

import { statusError } from './http.js';

// Time between two reports, and how much of it is random. Milliseconds.
const INTERVAL = 60_000;
const JITTER = 5_000;

/** After other keys were read, the next report follows within this time: a command may wait for it. */
const MAX_DELAY = 3_000;

const TIMEOUT = 5_000;

export class Reporter {
  #dueAt = -Infinity;
  /** The keys of the last report, or those that made one due. */
  #keysHash = '';
  #isSending = false;
  #name;
  #apiKey;
  #discovery;
  #keys;
  #http;
  #clock;
  #onError;

  /**
   * @param {object} parts
   * @param {{ name: string, apiKey: string }} parts.as
   * @param {import('./discovery.js').Discovery} parts.discovery
   * @param {import('./keys.js').Keys} parts.keys
   * @param {import('./http.js').Http} parts.http
   * @param {import('../types/index.d.ts').Clock} parts.clock
   * @param {(error: Error) => void} parts.onError
   */
  constructor(parts) {
    this.#name = parts.as.name;
    this.#apiKey = parts.as.apiKey;
    this.#discovery = parts.discovery;
    this.#keys = parts.keys;
    this.#http = parts.http;
    this.#clock = parts.clock;
    this.#onError = parts.onError;
  }

  /**
   * Sends a report if one is due. Is called after each step of the follower, which does not wait for it.
   * @param {import('./follower.js').Follower} follower
   */
  async report({ epoch, position, freshness }) {
    const now = this.#clock.monotonic();
    const hash = this.#keys.bodyHash;
    if (position === undefined || hash === '' || freshness.time === -Infinity) return;
    if (hash !== this.#keysHash) {
      this.#keysHash = hash;
      this.#dueAt = Math.min(this.#dueAt, now + Math.random() * MAX_DELAY);
    }
    if (now < this.#dueAt || this.#isSending) return;
    this.#dueAt = now + INTERVAL - Math.random() * JITTER;
    this.#isSending = true;
    try {
      await this.#send({ name: this.#name, epoch, position, time: freshness.time, jwks: hash });
    } catch (error) {
      this.#onError(/** @type {Error} */ (error));
    } finally {
      this.#isSending = false;
    }
  }

  /** @param {object} report */
  async #send(report) {
    const { feed } = await this.#discovery.get();
    if (feed === undefined) return;
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${this.#apiKey}` };
    const options = { method: 'POST', headers, body: JSON.stringify(report), timeout: TIMEOUT };
    await this.#http.request(`${feed}/followers`, options, async (response) => {
      if (response.status !== 204) throw statusError(response, 'the report of what was read of the feed');
    });
  }
}

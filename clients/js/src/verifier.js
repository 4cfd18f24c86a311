// Verifies access tokens: from the cache if possible, otherwise with the published keys, and always against time and
// the known revocations.

import { Ask } from './ask.js';
import { Cache } from './cache.js';
import { Discovery } from './discovery.js';
import { VerifyError } from './errors.js';
import { Follower } from './follower.js';
import { Http, unref } from './http.js';
import { Keys } from './keys.js';
import { checkOptions, checkRequirements } from './options.js';
import { Reporter } from './reporter.js';
import { checkTime, parseToken, verifyToken } from './token.js';

/** Without background work, the feed is read when a token is verified and this time has passed. Milliseconds. */
const DEMAND_INTERVAL = 1_000;

/** So long does a verification wait for the start, or for the feed when it is read on demand. */
const MAX_WAIT = 5_000;

const BEARER = /^Bearer +(\S+) *$/i;

/** @type {typeof import('../types/index.d.ts').createVerifier} */
export const createVerifier = (options) => new Verifier(options);

class Verifier {
  /** @type {Cache<import('./token.js').Verified>} */
  #cache;
  #options;
  #http;
  #keys;
  #follower;
  #ask;
  #closed = false;
  /** Settled when the first attempt to read keys and feed has ended, well or not. @type {Promise<void> | undefined} */
  #started;
  #isStarted = false;
  /** @type {Promise<void> | undefined} */
  #turn;
  #turnBegan = -Infinity;

  /** @param {import('../types/index.d.ts').VerifierOptions} options */
  constructor(options) {
    this.#options = checkOptions(options);
    const { issuer, audience, feed, background, fetch, clock, onError, report } = this.#options;
    this.#cache = new Cache(this.#options.cacheSize);
    this.#http = new Http(fetch);
    const discovery = new Discovery(issuer, this.#http, clock);
    this.#keys = new Keys(discovery, this.#http, clock);
    this.#ask = new Ask(discovery, this.#http, audience);
    if (feed !== 'off') {
      const parts = { issuer, discovery, keys: this.#keys, http: this.#http, clock, onError };
      const reporter = report && new Reporter({ ...parts, as: report });
      this.#follower = new Follower({ ...parts, mode: background ? feed : 'poll', reporter });
    }
  }

  /** Starts to read the keys and the feed. The first verification does so too. */
  start() {
    const follower = this.#follower;
    if (!follower) {
      this.#isStarted = true;
      return Promise.resolve();
    }
    if (!this.#options.background) return this.#prepareOnDemand(follower);
    this.#started ??= new Promise((/** @type {(value: void) => void} */ resolve) => {
      void follower.run(() => {
        this.#isStarted = true;
        resolve();
      });
    });
    return this.#started;
  }

  /**
   * @param {string | null | undefined} token
   * @param {import('../types/index.d.ts').Requirements} [requirements]
   */
  async verify(token, requirements) {
    checkRequirements(requirements);
    if (token === undefined || token === null || token === '') throw new VerifyError('missing');
    if (typeof token !== 'string') throw new VerifyError('malformed');
    if (this.#closed) throw new VerifyError('unavailable');
    if (!this.#isStarted) await withTimeout(this.start());
    const verified = this.#fromCache(token) ?? (await this.#verifyAnew(token));
    const { claims } = verified;
    checkTime(verified, this.#options.clock.now() / 1000, this.#options.leeway);
    if (this.#follower?.revocations.has(verified.ids)) {
      this.#cache.delete(token);
      throw new VerifyError('revoked');
    }
    if (requirements) checkClaims(claims, requirements);
    if (this.#isStale() && this.#options.whenStale !== 'allow') {
      if (this.#options.whenStale === 'refuse') throw new VerifyError('stale');
      await this.#ask.check(token);
    }
    return claims;
  }

  /**
   * @param {string | null | undefined} header
   * @param {import('../types/index.d.ts').Requirements} [requirements]
   */
  async verifyAuthorization(header, requirements) {
    if (typeof header !== 'string' || !/^Bearer( |$)/i.test(header)) throw new VerifyError('missing');
    const token = BEARER.exec(header)?.[1];
    if (token === undefined) throw new VerifyError('invalid_request');
    return this.verify(token, requirements);
  }

  status() {
    const follower = this.#follower;
    return {
      feed: this.#options.feed,
      stale: this.#isStale(),
      staleness: follower ? follower.staleness / 1000 : 0,
      revocations: follower?.revocations.size ?? 0,
      epoch: follower?.epoch || undefined,
      position: follower?.position,
      keys: this.#keys.size,
      cachedTokens: this.#cache.size,
    };
  }

  close() {
    this.#closed = true;
    this.#follower?.close();
    this.#http.close();
    this.#cache.clear();
  }

  /** @param {string} token */
  #fromCache(token) {
    const verified = this.#cache.get(token);
    return verified && this.#keys.isCurrent(verified.key) ? verified : undefined;
  }

  /** @param {string} token */
  async #verifyAnew(token) {
    const parts = parseToken(token);
    const key = await this.#keys.find(parts.kid);
    // The keys may have been fetched again, and the token's is still the same.
    const cached = this.#cache.get(token);
    if (cached?.key === key) return cached;
    const verified = await verifyToken(token, parts, key, this.#options);
    this.#cache.set(token, verified);
    return verified;
  }

  #isStale() {
    return this.#follower !== undefined && this.#follower.staleness > this.#options.maxStaleness * 1000;
  }

  /**
   * Reads the feed if the last time is long ago. Only the verification that does so waits. Others do too if nothing was
   * read for longer.
   * @param {Follower} follower
   */
  async #prepareOnDemand(follower) {
    const now = this.#options.clock.monotonic();
    const since = now - this.#turnBegan;
    // The runtime may have cancelled the request that began to read: then another one does it.
    if (this.#turn && since < MAX_WAIT) {
      if (follower.staleness > 2 * DEMAND_INTERVAL) await withTimeout(this.#turn);
      return;
    }
    if (since < DEMAND_INTERVAL) return;
    this.#turnBegan = now;
    const turn = follower
      .step()
      .catch((error) => this.#options.onError(error))
      .finally(() => {
        if (this.#turn === turn) this.#turn = undefined;
      });
    this.#turn = turn;
    await withTimeout(turn);
  }
}

/**
 * @param {import('../types/index.d.ts').Claims} claims
 * @param {import('../types/index.d.ts').Requirements} requirements
 */
function checkClaims(claims, { scopes, subject }) {
  if (subject && claims.isUser !== (subject === 'user')) throw new VerifyError('wrong_subject');
  if (scopes && !scopes.every((scope) => claims.scopes.has(scope))) {
    throw new VerifyError('insufficient_scope', { scopes });
  }
}

/**
 * Waits for the end of something, but not forever. What failed is seen later, in the state.
 * @param {Promise<void>} work
 */
async function withTimeout(work) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const limit = new Promise((resolve) => {
    timer = setTimeout(resolve, MAX_WAIT);
    unref(timer);
  });
  await Promise.race([work, limit]);
  clearTimeout(timer);
}

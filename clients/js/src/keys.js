// The signing keys (JWKS): fetched when needed, by one request at a time, and kept as long as the response allows.

import { importJWK } from 'jose';

import { decodeBinary, encodeBinary, hasSmallOrder, hashId, parseJson, truncatedHash } from './encoding.js';
import { FeedError, VerifyError } from './errors.js';
import { readBytes, statusError } from './http.js';
import { asObject, parseObject } from './json.js';

const MAX_BYTES = 256 * 1024;
const MAX_KEYS = 64;

/** The bytes of a public key, or of one of its two coordinates. */
const KEY_BYTES = 32;
const TIMEOUT = 5_000;

// Bounds of the time for which a response is kept, whatever its `max-age` says. Milliseconds.
const MIN_LIFETIME = 30_000;
const MAX_LIFETIME = 24 * 3_600_000;

// So long are expired keys used if they cannot be fetched again and the response has no `stale-if-error`.
const STALE_IF_ERROR = 3_600_000;

// The keys are fetched at most once a second, and again after this time if that did not help.
const MIN_INTERVAL = 1_000;
const COOLDOWN = 10_000;

/** The algorithms of each kind of key. A token's `alg` must be one of its key's. */
const ALGORITHMS = { Ed25519: ['EdDSA', 'Ed25519'], 'P-256': ['ES256'] };

/**
 * @typedef {object} Key
 * @property {string} kid
 * @property {CryptoKey | Uint8Array} key
 * @property {readonly string[]} algorithms
 * @property {string} hash  The hash of `kid`, as in the feed.
 * @property {string} material  Tells whether a key that was fetched again is the same.
 */

export class Keys {
  /** @type {Map<string, Key> | undefined} */
  #keys;
  /** Base64url of the truncated hash of the body, as frames announce it. */
  #bodyHash = '';
  #expiresAt = -Infinity;
  #usableUntil = -Infinity;
  /** @type {Promise<void> | undefined} */
  #request;
  #requestedAt = -Infinity;
  #retryAt = -Infinity;
  /** @type {unknown} */
  #failure;
  #announced = '';
  #discovery;
  #http;
  #clock;

  /**
   * @param {import('./discovery.js').Discovery} discovery
   * @param {import('./http.js').Http} http
   * @param {import('../types/index.d.ts').Clock} clock
   */
  constructor(discovery, http, clock) {
    this.#discovery = discovery;
    this.#http = http;
    this.#clock = clock;
  }

  /** The identifier of the key set, as in `jwks` of frames; empty before it was read. */
  get bodyHash() {
    return this.#bodyHash;
  }

  get size() {
    return this.#keys?.size ?? 0;
  }

  /**
   * Returns true if a key that verified a token may still do so without a look at the network.
   * @param {Key} key
   */
  isCurrent(key) {
    return this.#keys?.get(key.kid) === key && this.#clock.monotonic() < this.#expiresAt;
  }

  /**
   * Finds a key. Fetches the keys if they have expired, or if none has this `kid`.
   * @param {string} kid
   * @param {{ ofFrame: boolean }} [use]  Anyone can send tokens with made-up key ids. These must cause few requests,
   *   and must not delay the search for the key of a frame.
   * @returns {Promise<Key>}
   */
  async find(kid, use = { ofFrame: false }) {
    if (this.#clock.monotonic() >= this.#expiresAt) await this.#renew();
    const known = this.#keys?.get(kid);
    if (known) return known;
    await this.#fetchAgain(use.ofFrame ? this.#requestedAt + MIN_INTERVAL : this.#retryAt);
    const key = this.#keys?.get(kid);
    if (key) return key;
    this.#retryAt = this.#requestedAt + COOLDOWN;
    throw new VerifyError('unknown_key');
  }

  /** Fetches the keys if there are none yet. */
  async load() {
    if (!this.#keys) await this.#renew();
  }

  /**
   * Fetches the keys again unless their hash is the one that a frame announces.
   * @param {string | undefined} announced
   */
  async follow(announced) {
    if (announced === undefined || announced === this.#bodyHash) return;
    const now = this.#clock.monotonic();
    const isNew = announced !== this.#announced;
    if (now < this.#requestedAt + (isNew ? MIN_INTERVAL : COOLDOWN)) return;
    this.#announced = announced;
    await this.#fetch({ noCache: true });
  }

  /** Replaces expired keys. If that fails, they stay in use for some time. */
  async #renew() {
    const now = this.#clock.monotonic();
    if (this.#request || now >= this.#requestedAt + MIN_INTERVAL) {
      const request = this.#fetch({ noCache: false }).catch(() => {});
      // While the server cannot be reached, requests do not wait for it again and again.
      if (!this.#failure || now >= this.#usableUntil) await request;
    }
    if (this.#clock.monotonic() >= this.#usableUntil) throw new VerifyError('unavailable', { cause: this.#failure });
  }

  /**
   * Fetches the keys because none has a certain `kid`.
   * @param {number} notBefore  On the monotonic clock.
   */
  async #fetchAgain(notBefore) {
    if (!this.#request && this.#clock.monotonic() < Math.max(this.#requestedAt + MIN_INTERVAL, notBefore)) {
      if (this.#failure) throw new VerifyError('unavailable', { cause: this.#failure });
      return;
    }
    try {
      await this.#fetch({ noCache: true });
    } catch (error) {
      throw new VerifyError('unavailable', { cause: error });
    }
  }

  /**
   * One request at a time: callers that come meanwhile wait for the same.
   * @param {{ noCache: boolean }} options  Past all caches, if the keys that a cache has are known to be old.
   */
  #fetch(options) {
    if (!this.#request) {
      this.#requestedAt = this.#clock.monotonic();
      this.#request = this.#read(options)
        .then(() => void (this.#failure = undefined))
        .catch((error) => {
          this.#failure = error;
          throw error;
        })
        .finally(() => (this.#request = undefined));
    }
    return this.#request;
  }

  /** @param {{ noCache: boolean }} options */
  async #read({ noCache }) {
    const { jwks } = await this.#discovery.get();
    const accept = 'application/jwk-set+json, application/json';
    /** @type {Record<string, string>} */
    const headers = noCache ? { accept, 'cache-control': 'no-cache' } : { accept };
    await this.#http.request(jwks, { headers, timeout: TIMEOUT }, async (response) => {
      if (response.status !== 200) {
        this.#discovery.expire();
        throw statusError(response, 'the key set');
      }
      const bytes = await readBytes(response, MAX_BYTES);
      const keys = await readKeys(parseJson(bytes, 'the key set', parseObject).keys, this.#keys);
      this.#bodyHash = encodeBinary(truncatedHash(bytes));
      const cacheControl = response.headers.get('cache-control') ?? '';
      const now = this.#clock.monotonic();
      this.#expiresAt = now + clamp(directive(cacheControl, 'max-age') ?? 0, MIN_LIFETIME, MAX_LIFETIME);
      const staleIfError = directive(cacheControl, 'stale-if-error') ?? STALE_IF_ERROR;
      this.#usableUntil = this.#expiresAt + clamp(staleIfError, 0, MAX_LIFETIME);
      this.#keys = keys;
    });
  }
}

/**
 * The usable keys of a key set; others are left out. Keys that were known before stay the same objects.
 * @param {unknown} jwks
 * @param {Map<string, Key> | undefined} known
 */
export async function readKeys(jwks, known) {
  if (!Array.isArray(jwks) || !jwks.every(asObject)) throw new FeedError('invalid_response', 'it is not a key set');
  if (jwks.length > MAX_KEYS) throw new FeedError('invalid_response', 'the key set has too many keys');
  /** @type {Map<string, Key>} */
  const keys = new Map();
  for (const jwk of jwks) {
    const algorithms = algorithmsOf(jwk);
    if (!algorithms) continue;
    if (keys.has(jwk.kid)) throw new FeedError('invalid_response', 'two keys of the key set have the same kid');
    const material = [jwk.crv, jwk.alg, jwk.x, jwk.y].join(' ');
    const before = known?.get(jwk.kid);
    if (before?.material === material) {
      keys.set(jwk.kid, before);
      continue;
    }
    const { kty, crv, x, y } = /** @type {Record<string, string>} */ (jwk);
    const publicJwk = /** @type {import('jose').JWK} */ (kty === 'OKP' ? { kty, crv, x } : { kty, crv, x, y });
    try {
      const key = await importJWK(publicJwk, algorithms[0]);
      keys.set(jwk.kid, { kid: jwk.kid, key, algorithms, hash: hashId(jwk.kid), material });
    } catch {
      // A key that this runtime cannot import verifies no token. Others do.
    }
  }
  return keys;
}

/** @param {Record<string, unknown>} jwk */
function algorithmsOf(jwk) {
  const { kty, crv, alg, use, kid, x, y } = jwk;
  const kind = kty === 'OKP' && crv === 'Ed25519' ? 'Ed25519' : kty === 'EC' && crv === 'P-256' ? 'P-256' : undefined;
  if (!kind || typeof kid !== 'string' || 'd' in jwk || (use !== undefined && use !== 'sig')) return undefined;
  if (!isCoordinate(x) || (kind === 'Ed25519' ? hasSmallOrder(x) : !isCoordinate(y))) return undefined;
  if (y !== undefined && typeof y !== 'string') return undefined;
  const algorithms = ALGORITHMS[kind];
  return alg === undefined || algorithms.some((one) => one === alg) ? algorithms : undefined;
}

/**
 * @param {unknown} value
 * @returns {value is string}
 */
const isCoordinate = (value) => typeof value === 'string' && decodeBinary(value)?.length === KEY_BYTES;

/**
 * The value of a directive of `Cache-Control`, in milliseconds.
 * @param {string} header
 * @param {string} name
 */
function directive(header, name) {
  const found = new RegExp(`(?:^|[\\s,])${name}="?(\\d{1,9})`, 'i').exec(header);
  return found ? Number(found[1]) * 1000 : undefined;
}

/** @type {(value: number, min: number, max: number) => number} */
const clamp = (value, min, max) => Math.min(Math.max(value, min), max);

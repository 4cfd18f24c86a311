// The authorization server metadata (RFC 8414): where the keys, the feed and the verification endpoint are.

import { parseJson } from './encoding.js';
import { FeedError } from './errors.js';
import { checkUrl, readBytes, statusError } from './http.js';

const PATH = '/.well-known/oauth-authorization-server';
const MAX_BYTES = 256 * 1024;
const TIMEOUT = 5_000;

/** Milliseconds for which metadata is used without asking again. */
const LIFETIME = 3_600_000;

/**
 * @typedef {object} Metadata
 * @property {string} jwks
 * @property {string | undefined} feed
 * @property {string} verifyBatch
 */

export class Discovery {
  /** @type {Metadata | undefined} */
  #metadata;
  /** @type {Promise<Metadata> | undefined} */
  #request;
  #readAt = -Infinity;
  #issuer;
  #http;
  #clock;

  /**
   * @param {string} issuer
   * @param {import('./http.js').Http} http
   * @param {import('../types/index.d.ts').Clock} clock
   */
  constructor(issuer, http, clock) {
    this.#issuer = issuer;
    this.#http = http;
    this.#clock = clock;
  }

  /** The metadata. If it cannot be read again, the known one stays in use. */
  async get() {
    const metadata = this.#metadata;
    if (metadata && this.#clock.monotonic() - this.#readAt < LIFETIME) return metadata;
    this.#request ??= this.#read().finally(() => (this.#request = undefined));
    if (!metadata) return this.#request;
    return this.#request.catch(() => metadata);
  }

  /** Makes the next call of `get` read the metadata again. */
  expire() {
    this.#readAt = -Infinity;
  }

  async #read() {
    let failure;
    for (const url of candidates(this.#issuer)) {
      try {
        const options = { headers: { accept: 'application/json' }, timeout: TIMEOUT };
        const document = await this.#http.request(url, options, async (response) => {
          if (response.status !== 200) throw statusError(response, 'the metadata');
          return parseJson(await readBytes(response, MAX_BYTES), 'the metadata');
        });
        const metadata = check(document, this.#issuer);
        this.#readAt = this.#clock.monotonic();
        this.#metadata = metadata;
        return metadata;
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure;
  }
}

/**
 * RFC 8414, 3.1: the well-known part is inserted before the path of the issuer. Older servers append it.
 * @param {string} issuer
 */
function candidates(issuer) {
  const url = new URL(issuer);
  const path = url.pathname.replace(/\/$/, '');
  return path === '' ? [url.origin + PATH] : [url.origin + PATH + path, url.origin + path + PATH];
}

/**
 * @param {Record<string, unknown>} document
 * @param {string} issuer
 * @returns {Metadata}
 */
function check(document, issuer) {
  if (document.issuer !== issuer) throw new FeedError('invalid_response', 'the metadata are of another issuer');
  try {
    const jwks = checkUrl(document.jwks_uri, 'jwks_uri').href;
    const feed = document.revocation_feed_uri === undefined
      ? undefined
      : checkUrl(document.revocation_feed_uri, 'revocation_feed_uri').href.replace(/\/$/, '');
    const verify = document.verification_endpoint ?? jwks.replace(/\/\.well-known\/jwks\.json$/, '/verify');
    return { jwks, feed, verifyBatch: `${checkUrl(verify, 'verification_endpoint').href}/batch` };
  } catch (error) {
    throw new FeedError('invalid_response', `the metadata: ${/** @type {Error} */ (error).message}`);
  }
}

// The revocations in memory: truncated hashes of ids, users with a time, and the time before which all tokens are
// revoked.

import { HASH_BYTES } from './encoding.js';

const ID_RECORD = HASH_BYTES + 4;
const USER_RECORD = HASH_BYTES + 6 + 4;

// Tokens without a session are dated by clocks of several nodes, which may differ by so much.
const CLIENT_MARGIN = 120_000;

// An entry is kept for so many seconds after its `until`, because clocks differ.
const SWEEP_MARGIN = 120;

/**
 * A token as the revocation set sees it.
 * @typedef {object} TokenIds
 * @property {number} began  Milliseconds since 1970.
 * @property {boolean} isDatedBySession  `began` is from the `sid`.
 * @property {readonly string[]} hashes  Of `sid`, `jti`, `client_id` and `kid`, as far as the token has them.
 * @property {string} subject  The hash of `sub`.
 */

export class Revocations {
  /** @type {Map<string, number>} From a hash to its `until`. */
  #ids = new Map();
  /** @type {Map<string, { before: number, until: number }>} */
  #users = new Map();
  #notBefore = 0;
  /** @type {Iterator<[string, number]> | undefined} */
  #idSweep;
  /** @type {Iterator<[string, { until: number }]> | undefined} */
  #userSweep;

  get size() {
    return this.#ids.size + this.#users.size;
  }

  /**
   * Adds the entries of a frame. Idempotent, and independent of the order of frames.
   * @param {import('./frame.js').Frame} frame
   */
  add(frame) {
    this.#notBefore = Math.max(this.#notBefore, frame.notBefore);
    for (let at = 0; at < frame.revoked.length; at += ID_RECORD) {
      const hash = frame.revoked.slice(at, at + HASH_BYTES);
      const until = readInteger(frame.revoked, at + HASH_BYTES, 4);
      this.#ids.set(hash, Math.max(until, this.#ids.get(hash) ?? 0));
    }
    for (let at = 0; at < frame.revokedBefore.length; at += USER_RECORD) {
      const hash = frame.revokedBefore.slice(at, at + HASH_BYTES);
      const before = readInteger(frame.revokedBefore, at + HASH_BYTES, 6);
      const until = readInteger(frame.revokedBefore, at + HASH_BYTES + 6, 4);
      const known = this.#users.get(hash);
      this.#users.set(hash, {
        before: Math.max(before, known?.before ?? 0),
        until: Math.max(until, known?.until ?? 0),
      });
    }
  }

  /** @param {TokenIds} token */
  has(token) {
    if (token.began < this.#notBefore) return true;
    for (const hash of token.hashes) {
      if (this.#ids.has(hash)) return true;
    }
    const user = this.#users.get(token.subject);
    return user !== undefined && token.began - (token.isDatedBySession ? 0 : CLIENT_MARGIN) <= user.before;
  }

  /** @param {string} hash */
  hasId(hash) {
    return this.#ids.has(hash);
  }

  /**
   * Removes entries that concern no valid token any more, and looks at no more than `count` of each kind: the next call
   * goes on from there, so that a large set does not block the event loop.
   * @param {number} now  Seconds since 1970.
   * @param {number} count
   */
  sweep(now, count = 4096) {
    const limit = now - SWEEP_MARGIN;
    this.#idSweep = sweepSome(this.#ids, this.#idSweep, count, (until) => until < limit);
    this.#userSweep = sweepSome(this.#users, this.#userSweep, count, (user) => user.until < limit);
  }
}

/**
 * @template T
 * @param {Map<string, T>} map
 * @param {Iterator<[string, T]> | undefined} iterator  Where the sweep before stopped.
 * @param {number} count
 * @param {(value: T) => boolean} isOver
 */
function sweepSome(map, iterator, count, isOver) {
  const entries = iterator ?? map.entries();
  for (let looked = 0; looked < count; looked += 1) {
    const next = entries.next();
    if (next.done) return undefined;
    if (isOver(next.value[1])) map.delete(next.value[0]);
  }
  return entries;
}

/**
 * A big-endian integer.
 * @param {string} binary
 * @param {number} at
 * @param {number} length
 */
function readInteger(binary, at, length) {
  let value = 0;
  for (let index = at; index < at + length; index += 1) value = value * 256 + binary.charCodeAt(index);
  return value;
}

/** @param {string} binary */
export const hasWholeIdRecords = (binary) => binary.length % ID_RECORD === 0;

/** @param {string} binary */
export const hasWholeUserRecords = (binary) => binary.length % USER_RECORD === 0;

/**
 * @param {string} revoked
 * @param {string} revokedBefore
 */
export const countEntries = (revoked, revokedBefore) =>
  revoked.length / ID_RECORD + revokedBefore.length / USER_RECORD;

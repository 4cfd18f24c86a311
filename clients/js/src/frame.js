// Frames of the revocation feed: signature and form. Knows nothing of the follower's state.

import { compactVerify } from 'jose';

import { decodeBinary, decodeObject, HASH_BYTES } from './encoding.js';
import { FeedError } from './errors.js';
import { isInteger } from './json.js';
import { countEntries, hasWholeIdRecords, hasWholeUserRecords } from './revocations.js';
import { FORBIDDEN, SIGNATURE } from './token.js';

const TYPE = 'signet-revocations+jws';
// A URL gives the names `.` and `..` a meaning.
const OPAQUE = /^(?!\.{1,2}$)[A-Za-z0-9\-_.]{1,64}$/;
const MAX_ENTRIES = 4096;
const MAX_PARTS = 2 ** 32 - 1;

/** A frame has at most so many bytes. */
export const MAX_FRAME = 256 * 1024;

/**
 * @typedef {object} Frame
 * @property {number} time
 * @property {string} epoch
 * @property {string | undefined} from
 * @property {string} to
 * @property {number} notBefore
 * @property {string | undefined} jwks
 * @property {string} revoked  Records, one character per byte.
 * @property {string} revokedBefore
 * @property {string[] | undefined} segments
 * @property {number | undefined} part
 * @property {number | undefined} parts
 */

/**
 * Verifies a frame and reads it.
 * @param {string} text
 * @param {string} issuer
 * @param {(kid: string) => Promise<import('./keys.js').Key>} findKey  Fails for unknown and revoked keys.
 * @returns {Promise<Frame>}
 */
export async function readFrame(text, issuer, findKey) {
  if (text.length > MAX_FRAME) throw invalid('is too long');
  const segments = text.split('.');
  const header = segments.length === 3 ? decodeObject(/** @type {string} */ (segments[0])) : undefined;
  const payload = segments.length === 3 ? decodeObject(/** @type {string} */ (segments[1])) : undefined;
  const isCanonical = segments[2]?.length === SIGNATURE && decodeBinary(segments[2]) !== undefined;
  if (!header || !payload || !isCanonical) throw invalid('is not a compact JWS');
  const isPlain = !FORBIDDEN.some((name) => Object.hasOwn(header, name));
  const isOurs = isPlain && header.alg === 'EdDSA' && header.typ === TYPE;
  if (!isOurs || typeof header.kid !== 'string') throw invalid('has a wrong header');
  const key = await findKey(header.kid);
  if (!key.algorithms.includes('EdDSA')) throw invalid('is signed with a key of another algorithm');
  try {
    await compactVerify(text, key.key, { algorithms: ['EdDSA'] });
  } catch (cause) {
    throw invalid('has an invalid signature', cause);
  }
  if (payload.iss !== issuer) throw invalid('is from another issuer');
  return parse(payload);
}

/**
 * @param {Record<string, unknown>} payload
 * @returns {Frame}
 */
function parse(payload) {
  const revoked = records(payload.revoked, hasWholeIdRecords);
  const revokedBefore = records(payload.revoked_before, hasWholeUserRecords);
  if (countEntries(revoked, revokedBefore) > MAX_ENTRIES) throw invalid('has too many entries');
  const { from, segments, jwks } = payload;
  const [part, parts] = [integer(payload, 'part'), integer(payload, 'parts')];
  if (jwks !== undefined && !isHash(jwks)) throw invalid('has a wrong jwks');
  if (segments !== undefined && !Array.isArray(segments)) throw invalid('has wrong segments');
  const isWhole = part === undefined && parts === undefined;
  if (!isWhole && !isPart(part, parts)) throw invalid('has a wrong part');
  const time = integer(payload, 'time');
  if (time === undefined) throw invalid('has no time');
  return {
    time,
    epoch: opaque(payload.epoch),
    from: from === undefined ? undefined : opaque(from),
    to: opaque(payload.to),
    notBefore: integer(payload, 'not_before') ?? 0,
    jwks,
    revoked,
    revokedBefore,
    segments: segments?.map(opaque),
    part,
    parts,
  };
}

/**
 * @param {unknown} text
 * @param {(binary: string) => boolean} isWhole
 */
function records(text, isWhole) {
  const binary = text === undefined ? '' : typeof text === 'string' ? decodeBinary(text) : undefined;
  if (binary === undefined || !isWhole(binary)) throw invalid('has wrong records');
  return binary;
}

/**
 * @param {Record<string, unknown>} payload
 * @param {string} name
 */
function integer(payload, name) {
  const value = payload[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !isInteger(payload, name) || value < 0) throw invalid('has a wrong number');
  return value;
}

/**
 * @param {number | undefined} part
 * @param {number | undefined} parts
 */
const isPart = (part = 0, parts = 0) => part >= 1 && part <= parts && parts <= MAX_PARTS;

/**
 * @param {unknown} value
 * @returns {value is string}
 */
const isHash = (value) => typeof value === 'string' && decodeBinary(value)?.length === HASH_BYTES;

/** @param {unknown} value */
function opaque(value) {
  if (typeof value !== 'string' || !OPAQUE.test(value)) throw invalid('has a wrong epoch or position');
  return value;
}

/**
 * @param {string} reason
 * @param {unknown} [cause]
 */
const invalid = (reason, cause) => new FeedError('invalid_frame', `a frame of the feed ${reason}`, { cause });

// Access tokens: form, signature, claims and validity period.

import { compactVerify } from 'jose';

import { decodeBinary, decodeObject, hasSmallOrder, hashId } from './encoding.js';
import { VerifyError } from './errors.js';
import { isInteger } from './json.js';

/** A token has at most so many characters: Signet issues no longer ones. */
const MAX_TOKEN = 8 * 1024;

/** Members by which a token could bring its own key or its own rules (RFC 8725). */
export const FORBIDDEN = ['crit', 'b64', 'jku', 'jwk', 'x5u', 'x5c', 'zip'];

/** The length in characters of a signature of either algorithm. */
export const SIGNATURE = 86;

const UUID_V7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/**
 * A token whose signature and claims are valid. The validity period and revocations are checked at each use.
 * @typedef {object} Verified
 * @property {import('../types/index.d.ts').Claims} claims
 * @property {import('./keys.js').Key} key
 * @property {import('./revocations.js').TokenIds} ids
 * @property {number} expiresAt  Seconds since 1970.
 * @property {number} notBefore
 */

/**
 * @typedef {object} Parts
 * @property {string} alg
 * @property {string} kid
 * @property {string} payload
 * @property {string} signature
 */

/**
 * Reads the header of a token, whose claims are not to be used before `verifyToken` has checked the signature.
 * @param {string} token
 * @returns {Parts}
 */
export function parseToken(token) {
  if (token.length > MAX_TOKEN) throw new VerifyError('malformed');
  const [header, payload, signature, ...more] = token.split('.', 4);
  if (header === undefined || payload === undefined || signature === undefined || more.length > 0) {
    throw new VerifyError('malformed');
  }
  const members = decodeObject(header);
  if (!members || FORBIDDEN.some((name) => Object.hasOwn(members, name))) throw new VerifyError('malformed');
  const { alg, typ, kid } = members;
  const isText = typeof alg === 'string' && isTextOrAbsent(typ) && isTextOrAbsent(kid);
  if (!isText) throw new VerifyError('malformed');
  if (alg !== 'EdDSA' && alg !== 'Ed25519' && alg !== 'ES256') throw new VerifyError('unsupported_algorithm');
  // RFC 9068, 4: the type is compared as a media type, with or without `application/`.
  if (typeof typ !== 'string' || !/^(application\/)?at\+jwt$/i.test(typ)) throw new VerifyError('wrong_type');
  if (typeof kid !== 'string') throw new VerifyError('unknown_key');
  return { alg, kid, payload, signature };
}

/** @param {unknown} value */
const isTextOrAbsent = (value) => value === undefined || value === null || typeof value === 'string';

/**
 * Verifies the signature and the claims that do not change with time.
 * @param {string} token
 * @param {Parts} parts
 * @param {import('./keys.js').Key} key
 * @param {{ issuer: string, audience: string }} expected
 * @returns {Promise<Verified>}
 */
export async function verifyToken(token, parts, key, expected) {
  // The key determines the algorithm, not the token (RFC 8725, 3.1).
  if (!key.algorithms.includes(parts.alg)) throw new VerifyError('unsupported_algorithm');
  const { signature } = parts;
  if (signature.length !== SIGNATURE || decodeBinary(signature) === undefined) throw new VerifyError('malformed');
  // Only the owner of a key can make such a signature. The other verifiers refuse it.
  const isEdDsa = parts.alg !== 'ES256';
  if (isEdDsa && hasSmallOrder(signature)) throw new VerifyError('bad_signature');
  try {
    await compactVerify(token, key.key, { algorithms: [parts.alg] });
  } catch {
    throw new VerifyError('bad_signature');
  }
  const raw = decodeObject(parts.payload);
  if (!raw) throw new VerifyError('malformed');
  const claims = readClaims(raw);
  if (raw.iss !== expected.issuer) throw new VerifyError('wrong_issuer');
  if (!claims.audience.includes(expected.audience)) throw new VerifyError('wrong_audience');
  const notBefore = seconds(raw, 'nbf') ?? -Infinity;
  return { claims, key, ids: readIds(claims, key), expiresAt: claims.expiresAt, notBefore };
}

/**
 * @param {Verified} verified
 * @param {number} now  Seconds since 1970.
 * @param {number} leeway
 */
export function checkTime(verified, now, leeway) {
  if (verified.expiresAt + leeway <= now) throw new VerifyError('expired');
  if (verified.notBefore > now + leeway) throw new VerifyError('not_yet_valid');
}

/**
 * @param {Record<string, unknown>} raw
 * @returns {import('../types/index.d.ts').Claims}
 */
function readClaims(raw) {
  const sub = text(raw, 'sub');
  const expiresAt = seconds(raw, 'exp');
  const audience = typeof raw.aud === 'string' ? [raw.aud] : raw.aud;
  if (sub === undefined || expiresAt === undefined || typeof raw.iss !== 'string') throw new VerifyError('malformed');
  if (!Array.isArray(audience) || !audience.every((one) => typeof one === 'string')) throw new VerifyError('malformed');
  const sid = text(raw, 'sid');
  const email = text(raw, 'email');
  const { email_verified: stated } = raw;
  if (stated !== undefined && stated !== null && typeof stated !== 'boolean') throw new VerifyError('malformed');
  const emailVerified = stated === true;
  // Requests share the claims of a cached token, so they cannot be changed.
  return Object.freeze({
    sub,
    sid,
    jti: text(raw, 'jti'),
    clientId: text(raw, 'client_id'),
    scopes: new Scopes(text(raw, 'scope') ?? ''),
    audience: Object.freeze([...audience]),
    email: emailVerified ? email : undefined,
    emailVerified,
    issuedAt: seconds(raw, 'iat'),
    expiresAt,
    authTime: seconds(raw, 'auth_time'),
    isUser: sid !== undefined,
    isClient: sid === undefined,
    raw: deepFreeze(raw),
  });
}

/**
 * @param {Record<string, unknown>} raw
 * @param {string} name
 */
function text(raw, name) {
  const value = raw[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw new VerifyError('malformed');
  return value;
}

/**
 * @param {Record<string, unknown>} raw
 * @param {string} name
 */
function seconds(raw, name) {
  const value = raw[name];
  if (value === undefined) return undefined;
  if (!isInteger(raw, name)) throw new VerifyError('malformed');
  return Number(value);
}

/**
 * @param {import('../types/index.d.ts').Claims} claims
 * @param {import('./keys.js').Key} key
 * @returns {import('./revocations.js').TokenIds}
 */
function readIds(claims, key) {
  const { sub, sid, jti, clientId } = claims;
  const ids = [sid, jti, clientId].filter((id) => id !== undefined);
  const sessionBegan = createdAt(sid);
  return {
    began: sessionBegan ?? createdAt(jti) ?? (claims.issuedAt ?? 0) * 1000,
    isDatedBySession: sessionBegan !== undefined,
    hashes: [...ids.map(hashId), key.hash],
    subject: hashId(sub),
  };
}

/**
 * The time in a UUID of version 7, in milliseconds since 1970.
 * @param {string | undefined} id
 */
function createdAt(id = '') {
  const parts = UUID_V7.exec(id);
  return parts ? Number.parseInt(`${parts[1]}${parts[2]}`, 16) : undefined;
}

/**
 * The scopes of a token. They cannot be changed.
 * @extends {Set<string>}
 */
class Scopes extends Set {
  /** @param {string} scope */
  constructor(scope) {
    super();
    for (const one of scope.split(' ')) {
      if (one !== '') super.add(one);
    }
  }

  /** @returns {never} */
  add() {
    throw new TypeError('the scopes of a token cannot be changed');
  }

  /** @returns {never} */
  delete() {
    throw new TypeError('the scopes of a token cannot be changed');
  }

  /** @returns {never} */
  clear() {
    throw new TypeError('the scopes of a token cannot be changed');
  }
}

/**
 * @template {object} T
 * @param {T} value
 * @returns {T}
 */
function deepFreeze(value) {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) deepFreeze(member);
  }
  return Object.freeze(value);
}

// Base64url, hashes and JSON, strict: one value has one text.

import { FeedError } from './errors.js';
import { asObject, parseObject } from './json.js';
import { sha256 } from './sha256.js';

const BASE64URL = /^[A-Za-z0-9_-]*$/;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The bytes of a base64url text, as a string of one character per byte. Undefined unless the text is canonical: no
 * padding, and the unused bits of the last character are zero.
 * @param {string} text
 */
export function decodeBinary(text) {
  const rest = text.length % 4;
  if (rest === 1 || !BASE64URL.test(text)) return undefined;
  const spareBits = rest === 2 ? 15 : rest === 3 ? 3 : 0;
  if ((ALPHABET.indexOf(text.slice(-1)) & spareBits) !== 0 && rest !== 0) return undefined;
  return atob(text.replaceAll('-', '+').replaceAll('_', '/'));
}

/** @param {string} text */
export function decodeBytes(text) {
  const binary = decodeBinary(text);
  if (binary === undefined) return undefined;
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

/**
 * The JSON object that a base64url text encodes.
 * @param {string} text
 */
export function decodeObject(text) {
  const bytes = decodeBytes(text);
  try {
    return bytes && parseObject(decoder.decode(bytes));
  } catch {
    return undefined;
  }
}

// The encodings of points of small order of Ed25519, in hexadecimal, without the sign of x: those of orders 1, 2, 4 and
// 8, and two that are not reduced.
const SMALL_ORDER = new Set([
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  '00'.repeat(32),
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
]);

/**
 * Returns true if the first 32 bytes are a point of small order: anyone can forge signatures of such a key.
 * @param {string} text  Base64url.
 */
export function hasSmallOrder(text) {
  const bytes = decodeBytes(text);
  if (bytes === undefined || bytes.length < 32) return false;
  let hex = '';
  for (let index = 0; index < 32; index += 1) {
    const byte = /** @type {number} */ (bytes[index]) & (index === 31 ? 0x7f : 0xff);
    hex += byte.toString(16).padStart(2, '0');
  }
  return SMALL_ORDER.has(hex);
}

/**
 * The JSON object of a response.
 * @param {Uint8Array} bytes
 * @param {string} what
 * @param {(json: string) => Record<string, unknown> | undefined} parse
 */
export function parseJson(bytes, what, parse = (json) => asObject(JSON.parse(json))) {
  try {
    const object = parse(decoder.decode(bytes));
    if (object) return object;
  } catch {
    // Reported below.
  }
  throw new FeedError('invalid_response', `${what} is not a JSON object`);
}

/** Hashes in the feed and keys of the revocation set have this many bytes. */
export const HASH_BYTES = 12;

/**
 * The truncated SHA-256 of an id, as a string of one character per byte: a compact key of a Map.
 * @param {string} id
 */
export function hashId(id) {
  return truncatedHash(encoder.encode(id));
}

/** @param {Uint8Array} bytes */
export function truncatedHash(bytes) {
  return String.fromCharCode(...sha256(bytes).subarray(0, HASH_BYTES));
}

/**
 * Base64url of a string of one character per byte.
 * @param {string} binary
 */
export function encodeBinary(binary) {
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

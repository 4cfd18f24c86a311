// Base64url, hashes and JSON, strict: one value has one text.

import { FeedError } from './errors.js';
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
 * @returns {Record<string, unknown> | undefined}
 */
export function decodeObject(text) {
  const bytes = decodeBytes(text);
  if (bytes === undefined) return undefined;
  try {
    return asObject(JSON.parse(decoder.decode(bytes)));
  } catch {
    return undefined;
  }
}

/**
 * @param {unknown} value
 * @returns {Record<string, unknown> | undefined}
 */
export function asObject(value) {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? /** @type {Record<string, unknown>} */ (value) : undefined;
}

/**
 * @param {Uint8Array} bytes
 * @param {string} what
 */
export function parseJson(bytes, what) {
  try {
    const object = asObject(JSON.parse(decoder.decode(bytes)));
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

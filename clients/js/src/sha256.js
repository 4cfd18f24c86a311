// SHA-256 (FIPS 180-4) of short texts: the ids of a token have 36 characters. WebCrypto computes it in another thread;
// the way there and back takes ten times longer than the hash. Nothing here is secret.

const PRIMES = firstPrimes(64);
const CONSTANTS = Uint32Array.from(PRIMES, (prime) => fractionBits(Math.cbrt(prime)));
const INITIAL = Uint32Array.from(PRIMES.slice(0, 8), (prime) => fractionBits(Math.sqrt(prime)));

const BLOCK = 64;
const words = new Uint32Array(64);

/** @param {number} count */
function firstPrimes(count) {
  /** @type {number[]} */
  const primes = [];
  for (let number = 2; primes.length < count; number += 1) {
    if (primes.every((prime) => number % prime !== 0)) primes.push(number);
  }
  return primes;
}

/**
 * The first 32 bits of the fractional part.
 * @param {number} value
 */
function fractionBits(value) {
  return (value - Math.floor(value)) * 2 ** 32;
}

/** @type {(word: number, bits: number) => number} */
const rotate = (word, bits) => (word >>> bits) | (word << (32 - bits));

/**
 * @param {Uint8Array} message
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function sha256(message) {
  // The message, a one bit, zeros, and the length of the message in bits.
  const padded = new Uint8Array(Math.ceil((message.length + 9) / BLOCK) * BLOCK);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(message.length / 2 ** 29));
  view.setUint32(padded.length - 4, message.length * 8);

  const state = INITIAL.slice();
  for (let at = 0; at < padded.length; at += BLOCK) compress(state, view, at);

  const digest = new DataView(new ArrayBuffer(32));
  state.forEach((word, index) => digest.setUint32(index * 4, word));
  return new Uint8Array(digest.buffer);
}

/**
 * @param {Uint32Array} state
 * @param {DataView} view
 * @param {number} at
 */
function compress(state, view, at) {
  for (let t = 0; t < 16; t += 1) words[t] = view.getUint32(at + t * 4);
  for (let t = 16; t < 64; t += 1) {
    const before2 = word(t - 2);
    const before15 = word(t - 15);
    const sigma1 = rotate(before2, 17) ^ rotate(before2, 19) ^ (before2 >>> 10);
    const sigma0 = rotate(before15, 7) ^ rotate(before15, 18) ^ (before15 >>> 3);
    words[t] = sigma1 + word(t - 7) + sigma0 + word(t - 16);
  }
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state;
  for (let t = 0; t < 64; t += 1) {
    const choice = (e & f) ^ (~e & g);
    const majority = (a & b) ^ (a & c) ^ (b & c);
    const sum1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const sum0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const first = (h + sum1 + choice + /** @type {number} */ (CONSTANTS[t]) + word(t)) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + sum0 + majority) | 0;
  }
  [a, b, c, d, e, f, g, h].forEach((value, index) => (state[index] = (state[index] ?? 0) + value));
}

/** @param {number} index */
function word(index) {
  return /** @type {number} */ (words[index]);
}

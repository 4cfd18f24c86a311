// Tokens whose signature was verified, the least recently used of which are dropped.

/** The texts of all cached tokens together have at most so many characters. */
const MAX_LENGTH = 16 * 1024 * 1024;

/** @template T */
export class Cache {
  /** @type {Map<string, T>} A Map keeps the order of insertion: the first is the least recently used. */
  #entries = new Map();
  #length = 0;
  #capacity;

  /** @param {number} capacity */
  constructor(capacity) {
    this.#capacity = capacity;
  }

  get size() {
    return this.#entries.size;
  }

  /** @param {string} token */
  get(token) {
    const entry = this.#entries.get(token);
    if (entry !== undefined) {
      this.#entries.delete(token);
      this.#entries.set(token, entry);
    }
    return entry;
  }

  /**
   * @param {string} token
   * @param {T} entry
   */
  set(token, entry) {
    this.delete(token);
    this.#entries.set(token, entry);
    this.#length += token.length;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#capacity && this.#length <= MAX_LENGTH) break;
      this.delete(oldest);
    }
  }

  /** @param {string} token */
  delete(token) {
    if (this.#entries.delete(token)) this.#length -= token.length;
  }

  clear() {
    this.#entries.clear();
    this.#length = 0;
  }
}

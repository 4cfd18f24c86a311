// Requests to Signet: a time-out for each, a bound for what is read, and an end to all on close.

import { FeedError } from './errors.js';

const MAX_RETRY_AFTER = 60;

/** The hosts to which http is accepted. */
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/**
 * @param {unknown} text
 * @param {string} name
 */
export function checkUrl(text, name) {
  let url;
  try {
    url = new URL(String(text));
  } catch {
    throw new TypeError(`${name} is not a URL`);
  }
  const isSecure = url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.test(url.hostname));
  if (!isSecure) throw new TypeError(`${name} must use https (http only on a loopback address)`);
  if (url.username || url.password) throw new TypeError(`${name} must not contain credentials`);
  return url;
}

export class Http {
  /** @type {Set<AbortController>} */
  #running = new Set();
  #closed = false;
  #fetch;

  /** @param {typeof fetch} fetchFunction */
  constructor(fetchFunction) {
    this.#fetch = fetchFunction;
  }

  /**
   * Sends a request and gives the response to `read`, which must read the body to its end.
   * @template T
   * @param {string} url
   * @param {{ method?: string, headers?: Record<string, string>, body?: string, timeout: number }} options
   * @param {(response: Response) => Promise<T>} read
   * @returns {Promise<T>}
   */
  async request(url, options, read) {
    if (this.#closed) throw new FeedError('closed', 'the verifier is closed');
    const controller = new AbortController();
    this.#running.add(controller);
    const timer = setTimeout(() => controller.abort(new Error('time-out')), options.timeout);
    unref(timer);
    try {
      const fetch = this.#fetch;
      const { method = 'GET', headers = {}, body } = options;
      // A redirect could lead to a host that the issuer did not name. Workers do not know `redirect: 'error'`.
      const init = { method, headers, signal: controller.signal, redirect: /** @type {const} */ ('manual') };
      const response = await fetch(url, body === undefined ? init : { ...init, body });
      try {
        return await read(response);
      } finally {
        // The connection is not held by a body that nobody reads.
        if (response.body && !response.bodyUsed) await response.body.cancel().catch(() => {});
      }
    } catch (cause) {
      if (cause instanceof FeedError) throw cause;
      throw new FeedError('unreachable', `no complete response from ${new URL(url).host}`, { cause });
    } finally {
      clearTimeout(timer);
      this.#running.delete(controller);
    }
  }

  close() {
    this.#closed = true;
    for (const controller of this.#running) controller.abort(new Error('closed'));
  }
}

/**
 * Lets a process end although a timer is set, where the runtime can do that.
 * @param {unknown} timer
 */
export function unref(timer) {
  if (typeof timer === 'object' && timer !== null && 'unref' in timer && typeof timer.unref === 'function') {
    timer.unref();
  }
}

/**
 * The error of a response whose status is not 200.
 * @param {Response} response
 * @param {string} what
 */
export function statusError(response, what) {
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  const details = seconds >= 0 ? { retryAfter: Math.min(seconds, MAX_RETRY_AFTER) } : {};
  return new FeedError('status', `${what}: status ${response.status}`, details);
}

/**
 * The chunks of a body of at most `limit` bytes.
 * @param {Response} response
 * @param {number} limit
 */
async function* chunks(response, limit) {
  const reader = response.body?.getReader();
  if (!reader) return;
  let total = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      total += value.length;
      if (total > limit) throw new FeedError('too_large', `a response has more than ${limit} bytes`);
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/**
 * A whole body of at most `limit` bytes.
 * @param {Response} response
 * @param {number} limit
 */
export async function readBytes(response, limit) {
  const parts = [];
  let length = 0;
  for await (const chunk of chunks(response, limit)) {
    parts.push(chunk);
    length += chunk.length;
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/**
 * The lines of a body. The last line must end with a line feed too: a body that was cut off shows.
 * @param {Response} response
 * @param {{ limit: number, line: number }} bounds  Of the body and of each line, in bytes.
 */
export async function* readLines(response, bounds) {
  const decoder = new TextDecoder();
  // Only new chunks are searched for line feeds, so that reading stays linear in the length of the body.
  /** @type {string[]} */
  let line = [];
  let length = 0;
  for await (const chunk of chunks(response, bounds.limit)) {
    const [end = '', ...more] = decoder.decode(chunk, { stream: true }).split('\n');
    line.push(end);
    length += end.length;
    for (const next of more) {
      if (length > 0) yield line.join('');
      line = [next];
      length = next.length;
    }
    if (length > bounds.line) throw new FeedError('too_large', `a line has more than ${bounds.line} bytes`);
  }
  if (length > 0) throw new FeedError('invalid_response', 'the response is incomplete');
}

// A Signet in this process, behind a `fetch` function: metadata, keys, the feed and the verification of batches. Tests
// decide what it revokes, and how its network fails.

import { createHash, randomBytes } from 'node:crypto';

import { CompactSign, exportJWK, generateKeyPair } from 'jose';

export const ISSUER = 'https://id.example.org';
export const AUDIENCE = 'orders';

/** The milliseconds that a request of the live feed waits here; the real server waits a second. */
const LONG_POLL = 30;

/** A clock that tests move, and stop where the time that they take would count. */
export class TestClock {
  offset = 0;
  #stopped = undefined;
  now = () => (this.#stopped?.now ?? Date.now()) + this.offset;
  monotonic = () => (this.#stopped?.monotonic ?? performance.now()) + this.offset;
  advance(milliseconds) {
    this.offset += milliseconds;
  }
  stop() {
    // Whole numbers, so that sums of them are exact.
    this.#stopped = { now: Date.now(), monotonic: Math.ceil(performance.now()) };
  }
}

export const uuidV7 = (time) => {
  const random = randomBytes(10).toString('hex');
  const hex = `${time.toString(16).padStart(12, '0')}7${random.slice(0, 3)}8${random.slice(3, 18)}`;
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
};

const hash = (text) => createHash('sha256').update(text).digest().subarray(0, 12);
const jsonResponse = (body, headers = {}, status = 200) =>
  new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers });

export async function makeKey(kid, alg = 'EdDSA') {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

export const sign = (key, header, payload) =>
  new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
    .setProtectedHeader({ alg: key.alg, kid: key.kid, ...header })
    .sign(key.privateKey);

export class FakeSignet {
  /** Paths of all requests, in their order. */
  requests = [];
  keys = [];
  jwksHeaders = { 'cache-control': 'public, max-age=300' };
  metadata = { revocation_feed_uri: `${ISSUER}/.well-known/signet-revocations` };
  epoch = 'e1';
  /** One item per revocation: its position and members. */
  log = [];
  /** Positions at which segments end. */
  segments = ['p0'];
  notBefore = 0;
  /** Changes a response: `(path) => Response | undefined`, before the request is handled. */
  intercept = undefined;
  /** Changes each frame before it is signed, and the text after. */
  changePayload = (payload) => payload;
  changeFrame = (text) => text;
  #waiting = new Set();

  constructor(clock) {
    this.clock = clock;
  }

  static async start(clock = new TestClock()) {
    const signet = new FakeSignet(clock);
    signet.keys.push(await makeKey('k1'));
    return signet;
  }

  /** A token of a user who signed in a second ago. */
  async token(claims = {}, header = {}, key = this.keys[0]) {
    const now = Math.floor(this.clock.now() / 1000);
    const ids = { sid: uuidV7(this.clock.now() - 1000), jti: uuidV7(this.clock.now() - 1000) };
    const payload = { iss: ISSUER, aud: AUDIENCE, sub: 'user-1', iat: now, exp: now + 900, ...ids, ...claims };
    return sign(key, { typ: 'at+jwt', ...header }, payload);
  }

  /** Revokes ids, and users' tokens up to a time; returns the position. */
  revoke({ ids = [], users = [], until = Math.floor(this.clock.now() / 1000) + 3600 }) {
    const revoked = ids.map((id) => {
      const record = Buffer.alloc(16);
      hash(id).copy(record);
      record.writeUInt32BE(until, 12);
      return record;
    });
    const revokedBefore = users.map(([id, before]) => {
      const record = Buffer.alloc(22);
      hash(id).copy(record);
      record.writeUIntBE(before, 12, 6);
      record.writeUInt32BE(until, 18);
      return record;
    });
    const position = `p${this.log.length + 1}`;
    this.log.push({ position, revoked: Buffer.concat(revoked), revokedBefore: Buffer.concat(revokedBefore) });
    for (const wake of this.#waiting) wake();
    return position;
  }

  get position() {
    return this.log.at(-1)?.position ?? 'p0';
  }

  get jwks() {
    return JSON.stringify({ keys: this.keys.map((key) => key.jwk) });
  }

  count(path) {
    return this.requests.filter((request) => request.includes(path)).length;
  }

  async frame(members, entries = []) {
    const join = (name) => Buffer.concat(entries.map((entry) => entry[name])).toString('base64url') || undefined;
    const payload = {
      iss: ISSUER,
      time: Math.floor(this.clock.now()),
      epoch: this.epoch,
      not_before: this.notBefore,
      jwks: hash(this.jwks).toString('base64url'),
      revoked: join('revoked'),
      revoked_before: join('revokedBefore'),
      ...members,
    };
    const text = await sign(this.keys[0], { typ: 'signet-revocations+jws' }, this.changePayload(payload));
    return this.changeFrame(text);
  }

  fetch = async (input, init = {}) => {
    const url = new URL(input);
    this.requests.push(`${init.method ?? 'GET'} ${url.pathname}`);
    init.signal?.throwIfAborted();
    const intercepted = await this.intercept?.(url.pathname, init);
    if (intercepted) return intercepted;
    if (url.pathname === '/.well-known/oauth-authorization-server') {
      return jsonResponse({ issuer: ISSUER, jwks_uri: `${ISSUER}/.well-known/jwks.json`, ...this.metadata });
    }
    if (url.pathname === '/.well-known/jwks.json') return jsonResponse(this.jwks, this.jwksHeaders);
    const feed = url.pathname.split('/.well-known/signet-revocations')[1];
    if (feed !== undefined) return this.#feed(feed.split('/').slice(1), init.signal);
    return jsonResponse({}, {}, 404);
  };

  async #feed([first, kind, from, to], signal) {
    if (first === undefined) {
      return this.#frames([await this.frame({ from: this.position, to: this.position, segments: this.segments })]);
    }
    if (first === 'snapshot') {
      const half = Math.ceil(this.log.length / 2);
      const parts = [this.log.slice(0, half), this.log.slice(half)];
      const time = Math.floor(this.clock.now());
      const frames = parts.map((entries, index) =>
        this.frame({ time, to: this.position, part: index + 1, parts: parts.length }, entries));
      return this.#frames(await Promise.all(frames));
    }
    const indexOf = (position) => this.log.findIndex((entry) => entry.position === position) + 1;
    const isKnown = first === this.epoch && (from === 'p0' || indexOf(from) > 0);
    if (!isKnown) return jsonResponse({}, {}, 410);
    if (kind === 'segments') {
      const entries = this.log.slice(indexOf(from), indexOf(to));
      const old = { time: Math.floor(this.clock.now()) - 150_000, not_before: undefined, jwks: undefined };
      return this.#frames([await this.frame({ from, to, ...old }, entries)]);
    }
    if (indexOf(from) === this.log.length) await this.#wait(signal);
    return this.#frames([await this.frame({ from, to: this.position }, this.log.slice(indexOf(from)))]);
  }

  #wait(signal) {
    return new Promise((resolve, reject) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, LONG_POLL);
      this.#waiting.add(wake);
      signal?.addEventListener('abort', () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        reject(signal.reason);
      });
    });
  }

  #frames(frames) {
    const text = frames.map((frame) => `${frame}\n`).join('');
    return new Response(text, { headers: { 'content-type': 'application/jose' } });
  }
}

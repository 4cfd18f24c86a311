// Follows the revocation feed: the snapshot first, then the live feed, or the head and segments through a cache.

import { FeedError } from './errors.js';
import { MAX_FRAME, readFrame } from './frame.js';
import { Freshness } from './freshness.js';
import { readLines, statusError, unref } from './http.js';
import { Revocations } from './revocations.js';

const MAX_SNAPSHOT = 256 * 1024 * 1024;
const MAX_RESPONSE = 16 * 1024 * 1024;

// Milliseconds. The server holds a request of the live feed for at most a second.
const TIMEOUT = 5_000;
const SNAPSHOT_TIMEOUT = 60_000;

/** Time between two requests for the head. */
const POLL_INTERVAL = 1_000;

/** Time between two requests of the live feed that bring nothing, should a server or proxy answer at once. */
const MIN_INTERVAL = 50;

// Pauses after an error.
const MIN_PAUSE = 100;
const MAX_PAUSE = 2_000;

/** So many of the positions that were reached are looked for in the list of segments. */
const REMEMBERED_POSITIONS = 64;

export class Follower {
  revocations = new Revocations();
  freshness = new Freshness();
  #epoch = '';
  /** @type {string[]} The positions that were reached in this epoch, the current one last. */
  #reached = [];
  /**
   * When each frame was received, on the monotonic clock.
   * @type {WeakMap<import('./frame.js').Frame, number>}
   */
  #receivedAt = new WeakMap();
  #needsSnapshot = true;
  /** The last request of the live feed was for a position that the server does not keep. */
  #wasGone = false;
  #closed = false;
  /** @type {Set<() => void>} */
  #sleepers = new Set();
  #issuer;
  #mode;
  #discovery;
  #keys;
  #http;
  #clock;
  #onError;
  #reporter;

  /**
   * @param {object} parts
   * @param {string} parts.issuer
   * @param {'live' | 'poll'} parts.mode
   * @param {import('./discovery.js').Discovery} parts.discovery
   * @param {import('./keys.js').Keys} parts.keys
   * @param {import('./http.js').Http} parts.http
   * @param {import('../types/index.d.ts').Clock} parts.clock
   * @param {(error: Error) => void} parts.onError
   * @param {import('./reporter.js').Reporter | undefined} [parts.reporter]
   */
  constructor(parts) {
    this.#issuer = parts.issuer;
    this.#mode = parts.mode;
    this.#discovery = parts.discovery;
    this.#keys = parts.keys;
    this.#http = parts.http;
    this.#clock = parts.clock;
    this.#onError = parts.onError;
    this.#reporter = parts.reporter;
  }

  get epoch() {
    return this.#epoch;
  }

  get position() {
    return this.#reached.at(-1);
  }

  /** Milliseconds since the state was complete. */
  get staleness() {
    return this.freshness.staleness(this.#clock.monotonic(), this.#clock.now());
  }

  /**
   * Follows the feed until it is closed.
   * @param {() => void} attempted  Is called when the first attempt to start has ended, well or not.
   */
  async run(attempted) {
    let pause = MIN_PAUSE;
    while (!this.#closed) {
      try {
        const before = this.position;
        const began = this.#clock.monotonic();
        await this.step();
        pause = MIN_PAUSE;
        attempted();
        if (this.#mode === 'poll') await this.#sleep(POLL_INTERVAL);
        else if (this.position === before && this.#clock.monotonic() - began < MIN_INTERVAL) {
          await this.#sleep(MIN_INTERVAL);
        }
      } catch (error) {
        attempted();
        if (this.#closed) return;
        this.#onError(/** @type {Error} */ (error));
        const asked = error instanceof FeedError ? (error.retryAfter ?? 0) * 1000 : 0;
        // Followers that lost the server at the same time do not all come back at the same time.
        await this.#sleep(Math.max(asked, pause * (0.5 + Math.random() / 2)));
        pause = Math.min(pause * 2, MAX_PAUSE);
      }
    }
  }

  /** One request of the feed, and those that it makes necessary. */
  async step() {
    await this.#keys.load();
    const { feed } = await this.#discovery.get();
    if (feed === undefined) {
      this.#discovery.expire();
      throw new FeedError('feed_off', 'the server has no revocation feed');
    }
    try {
      if (this.#needsSnapshot) await this.#start(feed);
      else if (this.#mode === 'live') await this.#after(feed);
      else await this.#poll(feed);
    } finally {
      // Entries are dropped by the earlier of two clocks: one that is ahead must not drop one too soon.
      this.revocations.sweep(Math.min(this.#clock.now(), this.freshness.time) / 1000);
      void this.#reporter?.report(this);
    }
  }

  close() {
    this.#closed = true;
    for (const wake of this.#sleepers) wake();
  }

  /**
   * Reads the snapshot, which may be half a minute old and so proves nothing, and what the head shows to be newer.
   * @param {string} feed
   */
  async #start(feed) {
    await this.#snapshot(feed);
    await this.#poll(feed);
    // The snapshot came from a cache. The next one is not requested at once.
    if (this.#needsSnapshot) throw new FeedError('gap', 'the feed does not continue the snapshot');
  }

  /** @param {string} feed */
  async #snapshot(feed) {
    const bounds = { limit: MAX_SNAPSHOT, timeout: SNAPSHOT_TIMEOUT };
    // Past all caches, if this is not the first snapshot: a cached one may be of the epoch that is over.
    const noCache = this.#epoch !== '';
    let seen = 0;
    /** @type {import('./frame.js').Frame | undefined} */
    let first;
    await this.#frames(`${feed}/snapshot`, { ...bounds, noCache }, async (frame) => {
      first ??= frame;
      seen += 1;
      const { epoch, to, parts, time } = first;
      const isSame = frame.epoch === epoch && frame.to === to && frame.parts === parts && frame.time === time;
      // Another frame has no part. In place of a snapshot, it would hide what was revoked before.
      if (!isSame || frame.part !== seen) {
        throw new FeedError('invalid_response', 'the parts of a snapshot do not belong together');
      }
    });
    if (!first || seen !== first.parts) throw new FeedError('invalid_response', 'a snapshot is incomplete');
    this.#epoch = first.epoch;
    this.#reached = [first.to];
    this.#needsSnapshot = false;
  }

  /**
   * Reads the revocations after the current position.
   * @param {string} feed
   */
  async #after(feed) {
    /** @type {import('./frame.js').Frame | undefined} */
    let last;
    const url = `${feed}/${this.#epoch}/after/${this.position}`;
    const onGone = (/** @type {Response} */ response) => {
      this.#needsSnapshot = true;
      // If that did not help the last time, the next snapshot is not requested at once.
      if (this.#wasGone) throw statusError(response, 'the position of the snapshot');
      this.#wasGone = true;
    };
    await this.#frames(url, { limit: MAX_RESPONSE, timeout: TIMEOUT, onGone }, async (frame) => {
      if (!this.#isOfEpoch(frame)) return;
      if (frame.from === this.position) this.#reach(frame.to);
      if (frame.to !== this.position) throw new FeedError('gap', 'a frame of the feed leaves a gap');
      this.#wasGone = false;
      last = frame;
    });
    if (last) this.#complete(last);
  }

  /**
   * Reads the head, and what it shows to be new.
   * @param {string} feed
   */
  async #poll(feed) {
    /** @type {import('./frame.js').Frame[]} */
    const heads = [];
    await this.#frames(feed, { limit: 4 * MAX_FRAME, timeout: TIMEOUT }, async (frame) => {
      if (this.#isOfEpoch(frame)) heads.push(frame);
    });
    const head = heads[0];
    if (!head) return;
    if (!this.#reached.includes(head.to)) await this.#catchUp(feed, head);
    // If the position is an earlier one, the response of the live feed says how fresh the state is.
    if (this.#reached.includes(head.to)) this.#complete(head);
  }

  /**
   * @param {string} feed
   * @param {import('./frame.js').Frame} head
   */
  async #catchUp(feed, head) {
    const segments = head.segments ?? [];
    const known = segments.findLast((position) => this.#reached.includes(position));
    if (known === undefined || segments.at(-1) !== head.to) return this.#after(feed);
    let position = known;
    let isGone = false;
    const onGone = () => void (isGone = true);
    for (const end of segments.slice(segments.lastIndexOf(known) + 1)) {
      const url = `${feed}/${this.#epoch}/segments/${position}/${end}`;
      await this.#frames(url, { limit: MAX_RESPONSE, timeout: TIMEOUT, onGone }, async (frame) => {
        const isNext = frame.epoch === this.#epoch && frame.from === position;
        if (!isNext) throw new FeedError('gap', 'a segment leaves a gap');
        position = frame.to;
      });
      // The head came from a cache, and the server does not keep these segments any more.
      if (isGone) return this.#after(feed);
      if (position !== end) throw new FeedError('gap', 'a segment is incomplete');
      // Each end is remembered: the last ones are in the next list too, the newest position may not be.
      this.#reach(position);
    }
  }

  /**
   * Reads the frames of a response, adds their entries, and then calls `use` for each.
   * @param {string} url
   * @param {{ limit: number, timeout: number, noCache?: boolean, onGone?: (response: Response) => void }} options
   *   `onGone` is called instead if the server does not keep this epoch or position.
   * @param {(frame: import('./frame.js').Frame) => Promise<void>} use
   */
  async #frames(url, options, use) {
    const headers = { accept: 'application/jose', ...(options.noCache ? { 'cache-control': 'no-cache' } : {}) };
    await this.#http.request(url, { headers, timeout: options.timeout }, async (response) => {
      if (response.status === 410 && options.onGone) return options.onGone(response);
      if (response.status === 404) {
        this.#discovery.expire();
        throw new FeedError('feed_off', 'the server has turned the revocation feed off');
      }
      if (response.status !== 200) throw statusError(response, 'the revocation feed');
      for await (const line of readLines(response, { limit: options.limit, line: MAX_FRAME })) {
        const receivedAt = this.#clock.monotonic();
        const frame = await readFrame(line, this.#issuer, (kid) => this.#findKey(kid));
        this.#receivedAt.set(frame, receivedAt);
        this.revocations.add(frame);
        // A frame is not held up by a new key set.
        this.#keys.follow(frame.jwks).catch((error) => this.#closed || this.#onError(error));
        await use(frame);
      }
    });
  }

  /**
   * The state is complete up to the time of a frame. A segment does not prove that: it lacks what is not an entry of
   * the sequence, `not_before` and the revoked signing keys. Nor does a part of a snapshot.
   * @param {import('./frame.js').Frame} frame
   */
  #complete(frame) {
    const isCurrent = frame.jwks !== undefined && frame.part === undefined;
    if (!isCurrent) throw new FeedError('gap', 'a frame does not say what was revoked up to now');
    const receivedAt = this.#receivedAt.get(frame) ?? this.#clock.monotonic();
    if (!this.freshness.complete(frame.time, receivedAt, this.#clock.now())) {
      throw new FeedError('clock', 'the time of the feed differs by more than 120 seconds from the clock');
    }
  }

  /** @param {string} kid */
  async #findKey(kid) {
    const key = await this.#keys.find(kid, { ofFrame: true }).catch((cause) => {
      throw new FeedError('invalid_frame', 'the key of a frame is unknown', { cause });
    });
    if (this.revocations.hasId(key.hash)) throw new FeedError('invalid_frame', 'a frame is signed with a revoked key');
    return key;
  }

  /**
   * Returns true if the frame continues the epoch. Otherwise the state is read anew, and all entries are kept.
   * @param {import('./frame.js').Frame} frame
   */
  #isOfEpoch(frame) {
    if (frame.epoch !== this.#epoch) this.#needsSnapshot = true;
    return !this.#needsSnapshot;
  }

  /** @param {string} position */
  #reach(position) {
    if (position === this.position) return;
    this.#reached.push(position);
    if (this.#reached.length > REMEMBERED_POSITIONS) this.#reached.shift();
  }

  /** @param {number} milliseconds */
  async #sleep(milliseconds) {
    if (this.#closed) return;
    await new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#sleepers.delete(wake);
        resolve(undefined);
      };
      const timer = setTimeout(wake, milliseconds);
      unref(timer);
      this.#sleepers.add(wake);
    });
  }
}

// The age of the knowledge of revocations, measured on the monotonic clock: a replayed or delayed frame cannot make it
// look younger. While the machine sleeps that clock may stand still, so the wall clock counts too. All times are in
// milliseconds.

/** A frame whose time differs by more than this from the wall clock proves nothing. */
const MAX_CLOCK_DIFFERENCE = 120_000;

/** Offsets are forgotten after this time, because the two clocks drift apart. */
const OFFSET_AGE = 3_600_000;

/** Offsets are kept in groups of so much time, of which only the smallest counts. */
const GROUP = 60_000;

export class Freshness {
  #greatestTime = -Infinity;
  /** On the wall clock: when the frame with the greatest time was received. */
  #progressAt = -Infinity;
  /** @type {{ began: number, smallest: number }[]} */
  #offsets = [];

  /** The greatest time up to which the state is complete, in milliseconds since 1970. */
  get time() {
    return this.#greatestTime;
  }

  /**
   * Records that the state is complete up to the time of a frame. Returns false if that proves nothing, because the
   * time differs too much from the wall clock.
   * @param {number} time  The frame's.
   * @param {number} receivedAt  On the monotonic clock.
   * @param {number} wallClock
   */
  complete(time, receivedAt, wallClock) {
    if (Math.abs(time - wallClock) > MAX_CLOCK_DIFFERENCE) return false;
    const offset = receivedAt - time;
    const last = this.#offsets.at(-1);
    if (last && receivedAt < last.began + GROUP) last.smallest = Math.min(last.smallest, offset);
    else this.#offsets.push({ began: receivedAt, smallest: offset });
    this.#offsets = this.#offsets.filter(({ began }) => receivedAt < began + OFFSET_AGE);
    if (time > this.#greatestTime) {
      this.#greatestTime = time;
      this.#progressAt = wallClock;
    }
    return true;
  }

  /**
   * Infinite until the state is complete for the first time.
   * @param {number} now  On the monotonic clock.
   * @param {number} wallClock
   */
  staleness(now, wallClock) {
    if (this.#greatestTime === -Infinity) return Infinity;
    const smallest = Math.min(...this.#offsets.map((group) => group.smallest));
    return Math.max(0, now - this.#greatestTime - smallest, wallClock - this.#progressAt);
  }
}

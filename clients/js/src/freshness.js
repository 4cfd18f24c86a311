// How old the knowledge of revocations is, measured on the monotonic clock: a replayed or delayed frame cannot make it
// look younger.

/** The first frame is compared with the wall clock, because there is no earlier frame. Milliseconds. */
const MAX_CLOCK_DIFFERENCE = 120_000;

export class Freshness {
  #greatestTime = -Infinity;
  #smallestOffset = Infinity;

  /** The greatest time up to which the state is complete, in milliseconds since 1970. */
  get time() {
    return this.#greatestTime;
  }

  /**
   * Returns false if this is the first frame and its time is far from the wall clock.
   * @param {number} time  The frame's.
   * @param {number} wallClock
   */
  isPlausible(time, wallClock) {
    return this.#smallestOffset !== Infinity || Math.abs(time - wallClock) <= MAX_CLOCK_DIFFERENCE;
  }

  /**
   * Records when a genuine frame was received.
   * @param {number} time
   * @param {number} receivedAt  On the monotonic clock.
   */
  received(time, receivedAt) {
    this.#smallestOffset = Math.min(this.#smallestOffset, receivedAt - time);
  }

  /**
   * Records that the state is complete up to `time`, the time of a frame that was received.
   * @param {number} time
   */
  complete(time) {
    this.#greatestTime = Math.max(this.#greatestTime, time);
  }

  /**
   * Milliseconds; infinite until the state is complete for the first time.
   * @param {number} now  On the monotonic clock.
   */
  staleness(now) {
    if (this.#greatestTime === -Infinity) return Infinity;
    return Math.max(0, now - this.#greatestTime - this.#smallestOffset);
  }
}

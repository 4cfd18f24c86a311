// How load comes over time. All shapes are open: requests come at their own pace, as people do, and wait for no answers. So a
// server that slows down shows it as latency and as iterations that found no virtual user free, never as a gentler load.

import { number, oneOf, seconds } from './settings.js';

// Arrival rates are whole numbers: by the minute, a small share of a small rate still is one.
const UNIT = '1m';
const perMinute = (rate) => Math.max(1, Math.round(rate * 60));

/** Parts of the run: how much of its time, and what share of the rate is reached at the end of it. */
const SHAPES = {
  steady: [[1, 1]],
  ramp: [[0.6, 1], [0.3, 1], [0.1, 0]],
  spike: [[0.4, 0.1], [0.02, 1], [0.2, 1], [0.02, 0.1], [0.36, 0.1]],
};
const BEGINS_AT = { steady: 1, ramp: 0, spike: 0.1 };

/** What the whole script asks for; `RATE` is the highest that is reached, in iterations a second. */
export function wanted(rate, duration, shapes = Object.keys(SHAPES)) {
  return { shape: oneOf('SHAPE', shapes), rate: number('RATE', rate), length: seconds('DURATION', duration) };
}

/**
 * A scenario: `exec` at `share` of the rate. `patience` is for how many seconds one iteration may go on before there are too few
 * virtual users; `VUS` puts another number in place of what follows from it. All are there from the start: to make one takes time
 * that would be the load's.
 */
export function scenario({ shape, rate, length }, exec, share, patience) {
  const peak = rate * share;
  const vus = Math.max(1, Math.ceil(number('VUS', peak * patience + 1)));
  const common = { exec, timeUnit: UNIT, preAllocatedVUs: vus, maxVUs: vus, gracefulStop: '15s' };
  if (shape === 'steady') {
    return { executor: 'constant-arrival-rate', rate: perMinute(peak), duration: `${length}s`, ...common };
  }
  return {
    executor: 'ramping-arrival-rate',
    startRate: Math.round(perMinute(peak) * BEGINS_AT[shape]),
    stages: SHAPES[shape].map(([time, level]) => ({
      duration: `${Math.max(1, Math.round(length * time))}s`,
      target: Math.round(perMinute(peak) * level),
    })),
    ...common,
  };
}

/** How many iterations that comes to. */
export function planned({ shape, rate, length }) {
  let [level, sum] = [BEGINS_AT[shape], 0];
  for (const [time, next] of SHAPES[shape]) {
    sum += (time * (level + next)) / 2;
    level = next;
  }
  return rate * length * sum;
}

/** How many virtual users there are in all. */
export function virtualUsers(scenarios) {
  return Object.values(scenarios).reduce((sum, { maxVUs }) => sum + maxVUs, 0);
}

// The load over time. All shapes are open: requests start at a fixed rate and do not wait for responses, as those of
// real users. So a slow server shows as latency and dropped iterations, never as a lower rate.

import { number, oneOf, seconds } from './settings.js';

// Arrival rates must be whole numbers; per minute, a small share of a small rate still is one.
const UNIT = '1m';
const perMinute = (rate) => Math.max(1, Math.round(rate * 60));

/** Stages as [share of the duration, share of the rate at the end of the stage]. */
const SHAPES = {
  steady: [[1, 1]],
  ramp: [[0.6, 1], [0.3, 1], [0.1, 0]],
  spike: [[0.4, 0.1], [0.02, 1], [0.2, 1], [0.02, 0.1], [0.36, 0.1]],
};
const START_LEVEL = { steady: 1, ramp: 0, spike: 0.1 };

/** The load of a script; `RATE` is the peak rate in iterations per second. */
export function readLoad(rate, duration, shapes = Object.keys(SHAPES)) {
  return { shape: oneOf('SHAPE', shapes), rate: number('RATE', rate), length: seconds('DURATION', duration) };
}

/**
 * A scenario: `exec` at `share` of the rate. An iteration may take `duration` seconds before virtual users run out;
 * `VUS` overrides the number that follows from it. All are allocated at the start, because allocating one takes
 * time under load.
 */
export function scenario({ shape, rate, length }, exec, share, duration) {
  const peak = rate * share;
  const vus = Math.max(1, Math.ceil(number('VUS', peak * duration + 1)));
  const common = { exec, timeUnit: UNIT, preAllocatedVUs: vus, maxVUs: vus, gracefulStop: '15s' };
  if (shape === 'steady') {
    return { executor: 'constant-arrival-rate', rate: perMinute(peak), duration: `${length}s`, ...common };
  }
  return {
    executor: 'ramping-arrival-rate',
    startRate: Math.round(perMinute(peak) * START_LEVEL[shape]),
    stages: SHAPES[shape].map(([time, level]) => ({
      duration: `${Math.max(1, Math.round(length * time))}s`,
      target: Math.round(perMinute(peak) * level),
    })),
    ...common,
  };
}

/** The number of iterations of a load. */
export function plannedIterations({ shape, rate, length }) {
  let [level, sum] = [START_LEVEL[shape], 0];
  for (const [time, next] of SHAPES[shape]) {
    sum += (time * (level + next)) / 2;
    level = next;
  }
  return rate * length * sum;
}

/** The total number of virtual users. */
export function virtualUsers(scenarios) {
  return Object.values(scenarios).reduce((sum, { maxVUs }) => sum + maxVUs, 0);
}

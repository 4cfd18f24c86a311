// The mix of mixed.js for hours at a low, steady rate, to find what changes over time. Every sample has the tag
// `phase`.
//
// k6 cannot compare the percentiles of two phases. So one virtual user only watches: every few seconds it sends one
// request of each kind and remembers the durations of the early phase. In the late phase it adds the ratio of the
// current duration to the early median to the trend `drift`. With MANAGEMENT=http://host:8001 it also reads the
// server's memory and open files from /metrics and adds their ratios to `growth`.

import { check } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';
import { requestCode, day, refreshOwnSession, useRandomKey, verifyOwnToken, signInAndOut } from './lib/day.js';
import { checkUsersAndKeys, checkReachable, checkSessionsUnused, checkTokensAccepted } from './lib/ready.js';
import { number, text } from './lib/settings.js';
import { scenario, virtualUsers, readLoad } from './lib/shapes.js';
import { limit, options as optionsOf, summary, thresholds } from './lib/verdict.js';

// The warm phase is not compared: caches fill and pools open.
const PHASES = [['warm', 0.1], ['early', 0.3], ['middle', 0.75], ['late', 1]];
const WATCHED = ['sign-in', 'refresh', 'verify', 'key'];
const GAUGES = { memory: 'process_resident_memory_bytes', files: 'process_open_fds' };
const MANAGEMENT = text('MANAGEMENT', '').replace(/\/+$/, '');

const drift = new Trend('drift');
const growth = new Trend('growth');
const compared = new Counter('compared');

const load = readLoad(20, '4h', ['steady']);
if (load.length < 600) throw new Error(`DURATION is ${load.length} s: a soak test needs at least 10m, otherwise a phase has too few samples to compare`);
const { scenarios, limits } = day(load);
scenarios.watch = { ...scenario({ ...load, rate: 0.2 }, 'watch', 1, 0), preAllocatedVUs: 1, maxVUs: 1 };
const vus = virtualUsers(scenarios);

const allThresholds = thresholds(limits, load);
for (const operation of Object.keys(limits)) {
  for (const phase of ['early', 'late']) {
    const tags = `{operation:${operation},phase:${phase}}`;
    allThresholds[`http_reqs${tags}`] = ['count>0'];
    allThresholds[`http_req_duration${tags}`] = [limit(operation, limits[operation])];
    allThresholds[`http_req_failed${tags}`] = [`rate<=${number('ERRORS', 0.001)}`];
    allThresholds[`checks${tags}`] = [`rate>=${1 - number('ERRORS', 0.001)}`];
  }
}
for (const operation of WATCHED) {
  allThresholds[`drift{operation:${operation}}`] = [`med<${number('DRIFT', 1.5)}`];
  allThresholds[`compared{of:${operation}}`] = ['count>0'];
}
for (const gauge of MANAGEMENT ? Object.keys(GAUGES) : []) {
  allThresholds['checks{operation:metrics}'] = ['rate>=0.99'];
  allThresholds[`growth{of:${gauge}}`] = [`med<${number('GROWTH', 1.25)}`];
  allThresholds[`compared{of:${gauge}}`] = ['count>0'];
}

export const options = optionsOf(scenarios, allThresholds);
export const handleSummary = summary('soak', limits, load, ['early', 'late']);

export function setup() {
  checkReachable();
  checkUsersAndKeys();
  checkTokensAccepted();
  checkSessionsUnused(vus);
  if (MANAGEMENT && !readProcessMetrics()) throw new Error(`no process metrics at MANAGEMENT=${MANAGEMENT}`);
}

/** Tags the following samples with the current phase and returns it. */
function tagPhase() {
  const [name] = PHASES.find(([, until]) => exec.scenario.progress < until) || PHASES[PHASES.length - 1];
  exec.vu.metrics.tags.phase = name;
  return name;
}

/** The server's memory and open files; undefined if /metrics is not available. */
function readProcessMetrics() {
  const { status, body } = http.get(`${MANAGEMENT}/metrics`, { tags: { operation: 'metrics', name: 'GET /metrics' }, timeout: '10s' });
  const lines = status === 200 ? body.split('\n') : [];
  const values = {};
  for (const [gauge, metric] of Object.entries(GAUGES)) {
    const line = lines.find((line) => line.startsWith(`${metric} `));
    if (!line) return undefined;
    values[gauge] = Number(line.slice(metric.length));
  }
  return values;
}

const median = (values) => values.slice().sort((a, b) => a - b)[Math.floor(values.length / 2)];

// The values of the early phase, by operation or gauge.
const early = {};

function compare(phase, name, value, trend, tags) {
  if (phase === 'early') (early[name] = early[name] || []).push(value);
  else if (phase === 'late' && early[name]) {
    trend.add(value / median(early[name]), tags);
    compared.add(1, { of: name });
  }
}

export function watch() {
  const phase = tagPhase();
  const responses = [signInAndOut(), refreshOwnSession(vus), verifyOwnToken(vus), useRandomKey()];
  WATCHED.forEach((operation, index) => {
    const response = responses[index];
    if (response && response.status !== 0) compare(phase, operation, response.timings.duration, drift, { operation });
  });
  if (MANAGEMENT) {
    const values = readProcessMetrics();
    check(values, { 'metrics: process metrics': Boolean }, { operation: 'metrics' });
    for (const [gauge, value] of Object.entries(values || {})) compare(phase, gauge, value, growth, { of: gauge });
  }
}

function inPhase(activity) {
  return () => {
    tagPhase();
    activity(vus);
  };
}

export const visit = inPhase(signInAndOut);
export const renew = inPhase(refreshOwnSession);
export const present = inPhase(verifyOwnToken);
export const code = inPhase(requestCode);
export const key = inPhase(useRandomKey);

// The same day for hours, low and steady, and what changes in that time. Everything is tagged with the phase of the run it falls into.
//
// k6 cannot hold one phase's percentiles against another's. So one virtual user does nothing but watch: it does a little of
// everything every few seconds, remembers how long that took early on, and in the late phase adds how many times as long it takes
// now to the trend `drift`. With MANAGEMENT=http://host:8001 it reads the server's memory and open files from /metrics as well,
// into `growth`.

import { check } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';
import { askForCode, day, renewOwn, useAnyKey, verifyOwn, visitOnce } from './lib/day.js';
import { peopled, reachable, sessionsUnspent, tokensTaken } from './lib/ready.js';
import { number, text } from './lib/settings.js';
import { scenario, virtualUsers, wanted } from './lib/shapes.js';
import { limit, options as optionsOf, summary, thresholds } from './lib/verdict.js';

// Until the caches are filled and the pools are open, nothing can be held against what comes later.
const PHASES = [['warm', 0.1], ['early', 0.3], ['middle', 0.75], ['late', 1]];
const WATCHED = ['sign-in', 'refresh', 'verify', 'key'];
const GAUGES = { memory: 'process_resident_memory_bytes', files: 'process_open_fds' };
const MANAGEMENT = text('MANAGEMENT', '').replace(/\/+$/, '');

const drift = new Trend('drift');
const growth = new Trend('growth');
const compared = new Counter('compared');

const load = wanted(20, '4h', ['steady']);
if (load.length < 600) throw new Error(`DURATION is ${load.length} s: a soak lasts 10m at least, or there is too little in a phase to be held against another`);
const { scenarios, limits } = day(load);
scenarios.watch = { ...scenario({ ...load, rate: 0.2 }, 'watch', 1, 0), preAllocatedVUs: 1, maxVUs: 1 };
const vus = virtualUsers(scenarios);

const all = thresholds(limits, load);
for (const operation of Object.keys(limits)) {
  for (const phase of ['early', 'late']) {
    const tags = `{operation:${operation},phase:${phase}}`;
    all[`http_reqs${tags}`] = ['count>0'];
    all[`http_req_duration${tags}`] = [limit(operation, limits[operation])];
    all[`http_req_failed${tags}`] = [`rate<=${number('ERRORS', 0.001)}`];
    all[`checks${tags}`] = [`rate>=${1 - number('ERRORS', 0.001)}`];
  }
}
for (const operation of WATCHED) {
  all[`drift{operation:${operation}}`] = [`med<${number('DRIFT', 1.5)}`];
  all[`compared{of:${operation}}`] = ['count>0'];
}
for (const gauge of MANAGEMENT ? Object.keys(GAUGES) : []) {
  all['checks{operation:metrics}'] = ['rate>=0.99'];
  all[`growth{of:${gauge}}`] = [`med<${number('GROWTH', 1.25)}`];
  all[`compared{of:${gauge}}`] = ['count>0'];
}

export const options = optionsOf(scenarios, all);
export const handleSummary = summary('soak', limits, load, ['early', 'late']);

export function setup() {
  reachable();
  peopled();
  tokensTaken();
  sessionsUnspent(vus);
  if (MANAGEMENT && !measured()) throw new Error(`no metrics of a process at MANAGEMENT=${MANAGEMENT}`);
}

/** Tags what follows with the phase, and says which it is. */
function phase() {
  const [name] = PHASES.find(([, until]) => exec.scenario.progress < until) || PHASES[PHASES.length - 1];
  exec.vu.metrics.tags.phase = name;
  return name;
}

/** What the server says of its own process; nothing where that cannot be had. */
function measured() {
  const { status, body } = http.get(`${MANAGEMENT}/metrics`, { tags: { operation: 'metrics', name: 'GET /metrics' }, timeout: '10s' });
  const lines = status === 200 ? body.split('\n') : [];
  const values = {};
  for (const [gauge, metric] of Object.entries(GAUGES)) {
    const line = lines.find((one) => one.startsWith(`${metric} `));
    if (!line) return undefined;
    values[gauge] = Number(line.slice(metric.length));
  }
  return values;
}

const median = (values) => values.slice().sort((one, other) => one - other)[Math.floor(values.length / 2)];

// How it was early on, for each thing that is watched.
const early = {};

function compare(now, what, value, trend, tags) {
  if (now === 'early') (early[what] = early[what] || []).push(value);
  else if (now === 'late' && early[what]) {
    trend.add(value / median(early[what]), tags);
    compared.add(1, { of: what });
  }
}

export function watch() {
  const now = phase();
  const responses = [visitOnce(), renewOwn(vus), verifyOwn(vus), useAnyKey()];
  WATCHED.forEach((operation, at) => {
    const response = responses[at];
    if (response && response.status !== 0) compare(now, operation, response.timings.duration, drift, { operation });
  });
  if (MANAGEMENT) {
    const values = measured();
    check(values, { 'metrics: of the process': Boolean }, { operation: 'metrics' });
    for (const [gauge, value] of Object.entries(values || {})) compare(now, gauge, value, growth, { of: gauge });
  }
}

function inPhase(activity) {
  return () => {
    phase();
    activity(vus);
  };
}

export const visit = inPhase(visitOnce);
export const renew = inPhase(renewOwn);
export const present = inPhase(verifyOwn);
export const code = inPhase(askForCode);
export const key = inPhase(useAnyKey);

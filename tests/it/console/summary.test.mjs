// The file that `SUMMARY=FILE` of the load tests writes, as the console reads it: written here by the scripts' own code.

import assert from 'node:assert/strict';
import test from 'node:test';
import { readSummary, STATISTICS } from '../../../src/api/pages/console/screens/k6.js';

globalThis.__ENV = { SUMMARY: 'summary.json' };
const { summary } = await import('../../../loadtest/lib/verdict.js');

const times = { avg: 1.1, min: 0.2, med: 0.8, 'p(95)': 3, 'p(99)': 7, 'p(99.9)': 20, max: 44 };
const metrics = {
  dropped_iterations: { values: { count: 2, rate: 0.1 } },
  'http_reqs{operation:verify}': { values: { count: 1000, rate: 100.5 }, thresholds: { 'count>0': { ok: true } } },
  'http_req_failed{operation:verify}': { values: { rate: 0.001 } },
  'checks{operation:verify}': { values: { rate: 0.999 } },
  'http_req_duration{operation:verify}': { values: times, thresholds: { 'p(99)<5': { ok: false } } },
  'http_req_duration{operation:verify,phase:late}': { values: times },
  'http_req_duration{operation:never-called}': { values: {}, thresholds: { 'p(99)<250': { ok: true } } },
};

function written(changed) {
  const load = { shape: 'steady', rate: 200, duration: 60 };
  const data = { metrics: { ...metrics, ...changed }, state: { testRunDurationMs: 60_000 } };
  return summary('mixed', { verify: 5, 'never-called': 250 }, load)(data)['summary.json'];
}

test('every operation of a run is read, with its limit', () => {
  const run = readSummary(written({}));
  assert.deepEqual(
    [run.script, run.shape, run.rate, run.passed, run.dropped], ['mixed', 'steady', 200, false, 2],
  );
  assert.deepEqual(run.missed, ['http_req_duration{operation:verify}: p(99)<5']);
  assert.deepEqual(run.operations, [
    {
      name: 'verify', requests: 1000, perSecond: 100.5, failed: 0.001, checks: 0.999,
      marks: STATISTICS.map((statistic) => times[statistic]), limit: 5,
    },
    {
      name: 'never-called', requests: null, perSecond: null, failed: null, checks: null,
      marks: STATISTICS.map(() => null), limit: 250,
    },
  ]);
});

test('anything else is no summary', () => {
  const others = ['', '{', 'null', '[]', '{}', '{"script":"x","metrics":null}', '{"script":"x","metrics":{}}',
    '{"script":7,"metrics":{"http_req_duration{operation:x}":{}}}'];
  for (const text of others) assert.equal(readSummary(text), null, text);
});

test('values of other types do not break the chart', () => {
  const run = readSummary(JSON.stringify({
    script: 'x', load: 7, missed: 'all', metrics: { 'http_req_duration{operation:a}': { values: { med: '1', max: 1e400 } } },
  }));
  assert.deepEqual([run.shape, run.rate, run.missed, run.passed], ['', null, [], false]);
  assert.deepEqual(run.operations[0].marks, [null, null, null, null, null]);
});

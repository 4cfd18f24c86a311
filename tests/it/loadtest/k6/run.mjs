// Runs a script as `k6 run` does, with a few iterations of a few virtual users instead of the load: validates the
// options, runs `setup`, the function of each scenario and `handleSummary`, evaluates the thresholds, and prints all
// results as JSON.
//
// node run.mjs SCRIPT '{"iterations": 10, "users": 2, "setup": true}' < environment.json

import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { summarize, validate } from './rules.mjs';

const script = pathToFileURL(process.argv[2]).href;
const { iterations, users, setup } = JSON.parse(process.argv[3]);
const env = JSON.parse(readFileSync(0, 'utf8'));

function runUser(work) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./user.mjs', import.meta.url), { workerData: { script, env, ...work } });
    worker.once('message', (result) => worker.terminate().then(() => resolve(result)));
    worker.once('error', reject);
  });
}

// The exit codes of k6: thresholds missed, invalid options, an exception of the script.
const [MISSED, INVALID, THROWN] = [99, 104, 107];

function print(result) {
  process.stdout.write(JSON.stringify(result));
}

const start = Date.now();
const loaded = await runUser({ call: 'init', id: 0 });
const invalid = loaded.error ? [] : validate(loaded);
if (loaded.error) print({ exit: THROWN, error: loaded.error });
else if (invalid.length > 0) print({ exit: INVALID, invalid });
else {
  const { options, metrics } = loaded;
  const prepared = setup ? await runUser({ call: 'setup', id: 0 }) : { samples: [] };
  if (prepared.error) print({ exit: THROWN, error: prepared.error });
  else {
    const data = prepared.result === undefined ? undefined : JSON.parse(JSON.stringify(prepared.result));
    const samples = prepared.samples.slice();
    const thrown = [];
    let id = 0;
    for (const [name, scenario] of Object.entries(options.scenarios)) {
      const count = Math.min(users, scenario.maxVUs);
      for (let index = 0; index < count; index += 1) {
        id += 1;
        const work = { call: 'iterate', id, scenario: { ...scenario, name }, iterations, first: index * iterations, total: count * iterations };
        const outcome = await runUser({ ...work, data });
        if (outcome.error) thrown.push(outcome.error);
        else thrown.push(...outcome.result);
        samples.push(...outcome.samples);
      }
    }
    const seconds = (Date.now() - start) / 1000;
    const results = summarize({ options, metrics, samples, seconds });
    const state = { isStdOutTTY: false, isStdErrTTY: false, testRunDurationMs: seconds * 1000 };
    const summary = await runUser({ call: 'handleSummary', id: 0, data: { metrics: results, options: {}, state, root_group: {} } });
    const newer = await runUser({ call: 'handleSummary', id: 0, data: { config: {}, metadata: {}, results: {}, version: '1.0.0' } });
    const missed = Object.values(results).some(({ thresholds }) => Object.values(thresholds || {}).some(({ ok }) => !ok));
    const checks = {};
    for (const { metric, value, tags } of samples) {
      if (metric !== 'checks') continue;
      checks[tags.check] ||= { passed: 0, failed: 0 };
      checks[tags.check][value ? 'passed' : 'failed'] += 1;
    }
    const requests = [...new Set(samples.filter(({ metric }) => metric === 'http_reqs').map(({ tags }) => `${tags.operation} ${tags.name}`))];
    print({ exit: missed ? MISSED : 0, options, thrown, checks, requests, summary: summary.result, error: summary.error, newer: newer.result ?? null });
  }
}

// Runs a script as `k6 run` would, with a few iterations of a few virtual users in place of the load: says what is wrong with its
// options, runs `setup`, each scenario's function and `handleSummary`, holds the thresholds against what came of it, and prints all of that.
//
//   node run.mjs SCRIPT '{"iterations": 10, "users": 2, "setup": true}' < the environment, as JSON

import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { faults, summarised } from './rules.mjs';

const script = pathToFileURL(process.argv[2]).href;
const { iterations, users, setup } = JSON.parse(process.argv[3]);
const env = JSON.parse(readFileSync(0, 'utf8'));

function user(work) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./user.mjs', import.meta.url), { workerData: { script, env, ...work } });
    worker.once('message', (told) => worker.terminate().then(() => resolve(told)));
    worker.once('error', reject);
  });
}

// The exit codes of k6: thresholds missed, options refused, an exception of the script.
const [MISSED, REFUSED, THROWN] = [99, 104, 107];

function tell(told) {
  process.stdout.write(JSON.stringify(told));
}

const began = Date.now();
const loaded = await user({ call: 'init', id: 0 });
const wrong = loaded.error ? [] : faults(loaded);
if (loaded.error) tell({ exit: THROWN, error: loaded.error });
else if (wrong.length > 0) tell({ exit: REFUSED, wrong });
else {
  const { options, metrics } = loaded;
  const prepared = setup ? await user({ call: 'setup', id: 0 }) : { samples: [] };
  if (prepared.error) tell({ exit: THROWN, error: prepared.error });
  else {
    const data = prepared.result === undefined ? undefined : JSON.parse(JSON.stringify(prepared.result));
    const samples = prepared.samples.slice();
    const thrown = [];
    let id = 0;
    for (const [name, scenario] of Object.entries(options.scenarios)) {
      const many = Math.min(users, scenario.maxVUs);
      for (let one = 0; one < many; one += 1) {
        id += 1;
        const work = { call: 'iterate', id, scenario: { ...scenario, name }, iterations, first: one * iterations, total: many * iterations };
        const did = await user({ ...work, data });
        if (did.error) thrown.push(did.error);
        else thrown.push(...did.result);
        samples.push(...did.samples);
      }
    }
    const seconds = (Date.now() - began) / 1000;
    const figures = summarised({ options, metrics, samples, seconds });
    const state = { isStdOutTTY: false, isStdErrTTY: false, testRunDurationMs: seconds * 1000 };
    const shown = await user({ call: 'handleSummary', id: 0, data: { metrics: figures, options: {}, state, root_group: {} } });
    const newer = await user({ call: 'handleSummary', id: 0, data: { config: {}, metadata: {}, results: {}, version: '1.0.0' } });
    const missed = Object.values(figures).some(({ thresholds }) => Object.values(thresholds || {}).some(({ ok }) => !ok));
    const checks = {};
    for (const { metric, value, tags } of samples) {
      if (metric !== 'checks') continue;
      checks[tags.check] ||= { right: 0, wrong: 0 };
      checks[tags.check][value ? 'right' : 'wrong'] += 1;
    }
    const asked = [...new Set(samples.filter(({ metric }) => metric === 'http_reqs').map(({ tags }) => `${tags.operation} ${tags.name}`))];
    tell({ exit: missed ? MISSED : 0, options, thrown, checks, asked, summary: shown.result, error: shown.error, newer: newer.result ?? null });
  }
}

// One virtual user: its own copy of the script in its own thread, without globals that k6 does not have.

import { readFileSync } from 'node:fs';
import { performance as clock } from 'node:perf_hooks';
import { parentPort, workerData } from 'node:worker_threads';
import { emit, state } from './state.mjs';
import './wire.mjs';

const { script, call, id, scenario, first, iterations, total, data, env } = workerData;

const start = Date.now();
globalThis.__ENV = env;
globalThis.__VU = id;
globalThis.open = (file) => {
  if (!state.loading) throw new Error('open: only in the init context');
  // Only the scheme is removed: percent-encoded characters in the path are not decoded.
  return readFileSync(file.replace(/^file:\/\//, ''), 'utf8');
};
for (const name of [
  'process', 'Buffer', 'fetch', 'Headers', 'Request', 'Response', 'FormData', 'Blob', 'URL', 'URLSearchParams', 'performance',
  'structuredClone', 'TextEncoder', 'TextDecoder', 'setTimeout', 'setInterval', 'setImmediate', 'navigator', 'atob', 'btoa', 'crypto',
]) {
  delete globalThis[name];
}

function run(module) {
  if (call === 'init') return undefined;
  if (call === 'handleSummary') return module.handleSummary(data);
  state.vu.id = id;
  if (call === 'setup') return module.setup ? module.setup() : undefined;
  Object.assign(state.scenario, { name: scenario.name, executor: scenario.executor, start });
  const thrown = [];
  for (let index = 0; index < iterations; index += 1) {
    state.vu.iteration = index;
    state.scenario.iteration = first + index;
    state.scenario.progress = (first + index + 0.5) / total;
    const before = clock.now();
    try {
      module[scenario.exec](data);
    } catch (error) {
      thrown.push(error.stack);
    }
    emit('iterations', 1);
    emit('iteration_duration', clock.now() - before);
  }
  return thrown;
}

const result = {};
try {
  const module = await import(script);
  state.loading = false;
  state.options = module.options;
  result.options = JSON.parse(JSON.stringify(module.options));
  result.exported = Object.keys(module).filter((name) => typeof module[name] === 'function');
  result.result = run(module);
} catch (error) {
  result.error = error.stack;
}
parentPort.postMessage({ ...result, samples: state.samples, metrics: Object.fromEntries(state.metrics) });

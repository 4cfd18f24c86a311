// One virtual user: a copy of the script of its own, in a thread of its own, without anything that k6's runtime does not have.

import { readFileSync } from 'node:fs';
import { performance as clock } from 'node:perf_hooks';
import { parentPort, workerData } from 'node:worker_threads';
import { emit, state } from './state.mjs';
import './wire.mjs';

const { script, call, id, scenario, first, iterations, total, data, env } = workerData;

const began = Date.now();
globalThis.__ENV = env;
globalThis.__VU = id;
globalThis.open = (file) => {
  if (!state.loading) throw new Error('open: only in the init context');
  // Nothing but the scheme is taken away: a path in which something stands for a space is not that of a folder with a space.
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
  Object.assign(state.scenario, { name: scenario.name, executor: scenario.executor, start: began });
  const thrown = [];
  for (let turn = 0; turn < iterations; turn += 1) {
    state.vu.iteration = turn;
    state.scenario.iteration = first + turn;
    state.scenario.progress = (first + turn + 0.5) / total;
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

const told = {};
try {
  const module = await import(script);
  state.loading = false;
  state.options = module.options;
  told.options = JSON.parse(JSON.stringify(module.options));
  told.exported = Object.keys(module).filter((name) => typeof module[name] === 'function');
  told.result = run(module);
} catch (error) {
  told.error = error.stack;
}
parentPort.postMessage({ ...told, samples: state.samples, metrics: Object.fromEntries(state.metrics) });

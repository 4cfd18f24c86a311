// What one virtual user of our stand-in for k6 has: the modules that scripts import share it. It stands in for the documented
// behaviour of k6's own modules, as strictly as that is documented, so that a script that passes here says only what k6 understands.

export const state = {
  // Whether the script is being loaded: then files may be read, and nothing may be asked.
  loading: true,
  options: {},
  metrics: new Map(),
  samples: [],
  tags: {},
  vu: { id: 0, iteration: 0 },
  scenario: { name: '', executor: '', progress: 0, iteration: 0, start: 0 },
};

export const BUILT_IN = {
  checks: 'rate',
  dropped_iterations: 'counter',
  http_req_duration: 'trend',
  http_req_failed: 'rate',
  http_reqs: 'counter',
  iteration_duration: 'trend',
  iterations: 'counter',
};

/** Adds a value to a metric. Every tag is a text. */
export function emit(metric, value, tags = {}) {
  const all = { scenario: state.scenario.name, ...state.tags, ...tags };
  for (const [name, tag] of Object.entries(all)) {
    if (!['string', 'number', 'boolean'].includes(typeof tag)) throw new TypeError(`tag ${name} is ${tag}`);
    all[name] = String(tag);
  }
  state.samples.push({ metric, value: Number(value), tags: all });
}

/** Refuses what is only possible while a script runs, or only while it is loaded. */
export function demand(loading, what) {
  if (state.loading !== loading) throw new Error(`${what}: ${loading ? 'only' : 'not'} in the init context`);
}

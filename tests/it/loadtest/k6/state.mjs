// The state of one virtual user, shared by the modules that replace those of k6. They implement the documented
// behaviour of k6 as strictly as it is documented, so that a script that passes here uses only what k6 understands.

export const state = {
  // True in the init context: files can be read, and no request can be sent.
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

/** Adds a sample to a metric. Tags become strings. */
export function emit(metric, value, tags = {}) {
  const allTags = { scenario: state.scenario.name, ...state.tags, ...tags };
  for (const [name, tag] of Object.entries(allTags)) {
    if (!['string', 'number', 'boolean'].includes(typeof tag)) throw new TypeError(`tag ${name} is ${tag}`);
    allTags[name] = String(tag);
  }
  state.samples.push({ metric, value: Number(value), tags: allTags });
}

/** Throws unless the script is being loaded, or running, as required. */
export function demand(loading, name) {
  if (state.loading !== loading) throw new Error(`${name}: ${loading ? 'only' : 'not'} in the init context`);
}

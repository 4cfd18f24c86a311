// Validation of options and evaluation of thresholds, as the documentation of k6 describes them.

import { BUILT_IN } from './state.mjs';

const DURATION = /^(\d+(ms|s|m|h))+$/;
const isInteger = (min) => (value) => Number.isInteger(value) && value >= min;
const isDuration = (value) => typeof value === 'string' && DURATION.test(value);
const common = { exec: (value) => typeof value === 'string', timeUnit: isDuration, gracefulStop: isDuration, maxVUs: isInteger(1) };

/** The required and the optional fields of each executor. */
const EXECUTORS = {
  'constant-arrival-rate': [{ rate: isInteger(1), duration: isDuration, preAllocatedVUs: isInteger(1) }, common],
  'ramping-arrival-rate': [
    {
      preAllocatedVUs: isInteger(1),
      stages: (all) => Array.isArray(all) && all.length > 0 && all.every(({ target, duration }) => isInteger(0)(target) && isDuration(duration)),
    },
    { ...common, startRate: isInteger(0) },
  ],
};
const OPTIONS = ['scenarios', 'thresholds', 'summaryTrendStats', 'userAgent'];
const METHODS = { counter: /^(count|rate)$/, gauge: /^value$/, rate: /^rate$/, trend: /^(avg|min|max|med|p\((\d+(\.\d+)?)\))$/ };
const THRESHOLD = /^\s*(\S+?)\s*(<=|<|>=|>|===|==|!=)\s*(\d+(?:\.\d+)?)\s*$/;

/** All errors in a script's options. */
export function validate({ options, exported, metrics }) {
  const errors = [];
  const demand = (condition, message) => condition || errors.push(message);
  for (const name of Object.keys(options)) demand(OPTIONS.includes(name), `no such option: ${name}`);
  demand(Object.keys(options.scenarios || {}).length > 0, 'no scenarios');
  for (const [name, scenario] of Object.entries(options.scenarios || {})) {
    demand(/^[0-9a-zA-Z_-]+$/.test(name), `not a scenario name: ${name}`);
    const [required, optional] = EXECUTORS[scenario.executor] || [];
    if (!required) {
      errors.push(`${name}: no such executor: ${scenario.executor}`);
      continue;
    }
    for (const [key, value] of Object.entries(scenario)) {
      const isValid = key === 'executor' ? () => true : required[key] || optional[key];
      demand(isValid && isValid(value), `${name}: ${key} is ${JSON.stringify(value)}`);
    }
    for (const key of Object.keys(required)) demand(key in scenario, `${name}: ${key} is missing`);
    demand(!(scenario.maxVUs < scenario.preAllocatedVUs), `${name}: maxVUs are fewer than preAllocatedVUs`);
    demand(exported.includes(scenario.exec || 'default'), `${name}: ${scenario.exec} is not exported`);
  }
  for (const [name, expressions] of Object.entries(options.thresholds || {})) {
    const { metric, tags } = parseName(name);
    const type = BUILT_IN[metric] || metrics[metric];
    demand(type, `threshold of an unknown metric: ${name}`);
    demand(tags, `invalid tags: ${name}`);
    demand(Array.isArray(expressions) && expressions.length > 0, `${name} has no thresholds`);
    for (const expression of expressions) {
      const [, method] = expression.match(THRESHOLD) || [];
      demand(method && type && METHODS[type].test(method), `${name}: ${expression}`);
    }
  }
  return errors;
}

/** Parses `metric{tag:value,…}`. */
function parseName(name) {
  const [, metric, inside] = name.match(/^([^{}]+)(?:\{(.*)\})?$/) || [undefined, name];
  const pairs = inside === undefined ? [] : inside.split(',').map((pair) => pair.match(/^\s*([^:]+):(.+?)\s*$/));
  return { metric, tags: pairs.every(Boolean) ? pairs.map(([, tag, value]) => [tag, value]) : undefined };
}

/** The percentile of sorted values, interpolated linearly. */
function percentile(sorted, share) {
  if (sorted.length === 0) return 0;
  const position = share * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(position)], sorted[Math.ceil(position)]];
  return low + (high - low) * (position - Math.floor(position));
}

/** A statistic of samples; undefined for the rate of no samples. */
function statistic(type, method, values, seconds) {
  const sum = values.reduce((a, b) => a + b, 0);
  const sorted = () => values.slice().sort((a, b) => a - b);
  if (type === 'counter') return method === 'count' ? sum : sum / seconds;
  if (type === 'rate') return values.length > 0 ? sum / values.length : undefined;
  if (type === 'gauge') return values.at(-1) ?? 0;
  const simple = { avg: sum / (values.length || 1), min: percentile(sorted(), 0), max: percentile(sorted(), 1), med: percentile(sorted(), 0.5) };
  return simple[method] ?? percentile(sorted(), Number(method.slice(2, -1)) / 100);
}

const COMPARE = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '==': (a, b) => a === b,
  '===': (a, b) => a === b,
  '!=': (a, b) => a !== b,
};

/** The metrics in the form that `handleSummary` receives: those with samples and those with thresholds. */
export function summarize({ options, metrics, samples, seconds }) {
  const types = { ...BUILT_IN, ...metrics };
  const present = new Set(samples.map(({ metric }) => metric));
  const all = {};
  for (const name of [...present, ...Object.keys(options.thresholds)]) {
    const { metric, tags } = parseName(name);
    const type = types[metric];
    const matching = samples.filter((sample) => sample.metric === metric && tags.every(([tag, value]) => sample.tags[tag] === value));
    const values = matching.map(({ value }) => value);
    const methods = { counter: ['count', 'rate'], gauge: ['value'], rate: ['rate'], trend: options.summaryTrendStats }[type];
    all[name] = {
      type,
      contains: 'default',
      values: Object.fromEntries(methods.map((method) => [method, statistic(type, method, values, seconds) ?? 0])),
    };
    const expressions = options.thresholds[name];
    if (!expressions) continue;
    all[name].thresholds = {};
    for (const expression of expressions) {
      const [, method, operator, bound] = expression.match(THRESHOLD);
      const value = statistic(type, method, values, seconds);
      // In k6, a threshold without a value passes.
      all[name].thresholds[expression] = { ok: value === undefined || COMPARE[operator](value, Number(bound)) };
    }
  }
  return all;
}

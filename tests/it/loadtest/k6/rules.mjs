// What k6 demands of options, and what it makes of thresholds. Both as its documentation has them.

import { BUILT_IN } from './state.mjs';

const LENGTH = /^(\d+(ms|s|m|h))+$/;
const whole = (least) => (value) => Number.isInteger(value) && value >= least;
const long = (value) => typeof value === 'string' && LENGTH.test(value);
const common = { exec: (value) => typeof value === 'string', timeUnit: long, gracefulStop: long, maxVUs: whole(1) };

/** What each executor must be told, and what it may be told beside. */
const EXECUTORS = {
  'constant-arrival-rate': [{ rate: whole(1), duration: long, preAllocatedVUs: whole(1) }, common],
  'ramping-arrival-rate': [
    {
      preAllocatedVUs: whole(1),
      stages: (all) => Array.isArray(all) && all.length > 0 && all.every(({ target, duration }) => whole(0)(target) && long(duration)),
    },
    { ...common, startRate: whole(0) },
  ],
};
const OPTIONS = ['scenarios', 'thresholds', 'summaryTrendStats', 'userAgent'];
const METHODS = { counter: /^(count|rate)$/, gauge: /^value$/, rate: /^rate$/, trend: /^(avg|min|max|med|p\((\d+(\.\d+)?)\))$/ };
const THRESHOLD = /^\s*(\S+?)\s*(<=|<|>=|>|===|==|!=)\s*(\d+(?:\.\d+)?)\s*$/;

/** All that is wrong with a script's options. */
export function faults({ options, exported, metrics }) {
  const wrong = [];
  const demand = (holds, what) => holds || wrong.push(what);
  for (const name of Object.keys(options)) demand(OPTIONS.includes(name), `no such option: ${name}`);
  demand(Object.keys(options.scenarios || {}).length > 0, 'no scenarios');
  for (const [name, scenario] of Object.entries(options.scenarios || {})) {
    demand(/^[0-9a-zA-Z_-]+$/.test(name), `no name of a scenario: ${name}`);
    const [needed, allowed] = EXECUTORS[scenario.executor] || [];
    if (!needed) {
      wrong.push(`${name}: no such executor: ${scenario.executor}`);
      continue;
    }
    for (const [key, value] of Object.entries(scenario)) {
      const fits = key === 'executor' ? () => true : needed[key] || allowed[key];
      demand(fits && fits(value), `${name}: ${key} is ${JSON.stringify(value)}`);
    }
    for (const key of Object.keys(needed)) demand(key in scenario, `${name}: ${key} is missing`);
    demand(!(scenario.maxVUs < scenario.preAllocatedVUs), `${name}: maxVUs are fewer than preAllocatedVUs`);
    demand(exported.includes(scenario.exec || 'default'), `${name}: ${scenario.exec} is not exported`);
  }
  for (const [name, expressions] of Object.entries(options.thresholds || {})) {
    const { metric, tags } = named(name);
    const type = BUILT_IN[metric] || metrics[metric];
    demand(type, `a threshold of no metric: ${name}`);
    demand(tags, `tags that cannot be read: ${name}`);
    demand(Array.isArray(expressions) && expressions.length > 0, `${name} has no thresholds`);
    for (const expression of expressions) {
      const [, method] = expression.match(THRESHOLD) || [];
      demand(method && type && METHODS[type].test(method), `${name}: ${expression}`);
    }
  }
  return wrong;
}

/** `metric{tag:value,…}`. */
function named(name) {
  const [, metric, inside] = name.match(/^([^{}]+)(?:\{(.*)\})?$/) || [undefined, name];
  const pairs = inside === undefined ? [] : inside.split(',').map((pair) => pair.match(/^\s*([^:]+):(.+?)\s*$/));
  return { metric, tags: pairs.every(Boolean) ? pairs.map(([, tag, value]) => [tag, value]) : undefined };
}

/** The value at a share of the way through sorted values, between two of them in proportion. */
function percentile(sorted, share) {
  if (sorted.length === 0) return 0;
  const at = share * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return low + (high - low) * (at - Math.floor(at));
}

/** A statistic of samples; none where there is nothing to divide by. */
function statistic(type, method, values, seconds) {
  const sum = values.reduce((one, other) => one + other, 0);
  const sorted = () => values.slice().sort((one, other) => one - other);
  if (type === 'counter') return method === 'count' ? sum : sum / seconds;
  if (type === 'rate') return values.length > 0 ? sum / values.length : undefined;
  if (type === 'gauge') return values.at(-1) ?? 0;
  const simple = { avg: sum / (values.length || 1), min: percentile(sorted(), 0), max: percentile(sorted(), 1), med: percentile(sorted(), 0.5) };
  return simple[method] ?? percentile(sorted(), Number(method.slice(2, -1)) / 100);
}

const COMPARE = {
  '<': (one, other) => one < other,
  '<=': (one, other) => one <= other,
  '>': (one, other) => one > other,
  '>=': (one, other) => one >= other,
  '==': (one, other) => one === other,
  '===': (one, other) => one === other,
  '!=': (one, other) => one !== other,
};

/** The metrics as `handleSummary` is given them: those that there are, and those that thresholds name. */
export function summarised({ options, metrics, samples, seconds }) {
  const types = { ...BUILT_IN, ...metrics };
  const present = new Set(samples.map(({ metric }) => metric));
  const all = {};
  for (const name of [...present, ...Object.keys(options.thresholds)]) {
    const { metric, tags } = named(name);
    const type = types[metric];
    const matching = samples.filter((one) => one.metric === metric && tags.every(([tag, value]) => one.tags[tag] === value));
    const values = matching.map(({ value }) => value);
    const shown = { counter: ['count', 'rate'], gauge: ['value'], rate: ['rate'], trend: options.summaryTrendStats }[type];
    all[name] = {
      type,
      contains: 'default',
      values: Object.fromEntries(shown.map((method) => [method, statistic(type, method, values, seconds) ?? 0])),
    };
    const expressions = options.thresholds[name];
    if (!expressions) continue;
    all[name].thresholds = {};
    for (const expression of expressions) {
      const [, method, operator, bound] = expression.match(THRESHOLD);
      const value = statistic(type, method, values, seconds);
      // k6 holds that what has no value yet has missed nothing.
      all[name].thresholds[expression] = { ok: value === undefined || COMPARE[operator](value, Number(bound)) };
    }
  }
  return all;
}

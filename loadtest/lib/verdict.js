// What makes a run fail, and how it is told. A threshold that is missed gives k6's exit code 99; the summary says which.
//
// Every request and check has the tag `operation`, and each operation has thresholds of its own: an average over a verification
// and a sign-in, which differ a hundredfold, tells nothing.

import { number, text } from './settings.js';
import { planned } from './shapes.js';

/** The trend statistics that summaries show. */
export const STATISTICS = ['avg', 'min', 'med', 'p(95)', 'p(99)', 'p(99.9)', 'max'];

const NAME = (operation) => `P99_${operation.toUpperCase().replace(/-/g, '_')}`;

/** In how many milliseconds 99 of 100 must be answered; `P99_VERIFY=20` and its like put another number in place of ours. */
export function limit(operation, milliseconds) {
  return `p(99)<${number(NAME(operation), milliseconds)}`;
}

/**
 * For each operation with its limit: enough right answers, none too late, and at all. k6 holds that thresholds of a metric without
 * samples are met, but for a counter's: so each is counted, and what never ran fails.
 */
export function thresholds(limits, load) {
  const errors = number('ERRORS', 0.001);
  const all = {
    // What could not even be started is as bad as what failed.
    dropped_iterations: [`count<=${Math.ceil(planned(load) * errors)}`],
  };
  for (const [operation, milliseconds] of Object.entries(limits)) {
    const tag = `{operation:${operation}}`;
    all[`http_reqs${tag}`] = ['count>0'];
    all[`http_req_failed${tag}`] = [`rate<=${errors}`];
    all[`checks${tag}`] = [`rate>=${1 - errors}`];
    all[`http_req_duration${tag}`] = [limit(operation, milliseconds)];
  }
  return all;
}

/** The options that all scripts share. */
export function options(scenarios, all) {
  return { scenarios, thresholds: all, summaryTrendStats: STATISTICS, userAgent: 'signet-loadtest' };
}

const ms = (value) => (value === undefined ? '-' : value >= 100 ? value.toFixed(0) : value.toFixed(2));
const percent = (value) => (value === undefined ? '-' : `${(value * 100).toFixed(2)} %`);

/** A table: the first column to the left, the others to the right. */
function table(rows) {
  const widths = rows[0].map((_, at) => Math.max(...rows.map((row) => row[at].length)));
  const pad = (cell, at) => (at === 0 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]));
  return rows.map((row) => `  ${row.map(pad).join('  ')}\n`).join('');
}

/** A line for each operation that has thresholds; `tags` narrows it down, as `,phase:late` does. */
function figures(metrics, operations, tags = '') {
  const head = ['operation', 'requests', 'a second', 'median ms', 'p95', 'p99', 'p99.9', 'longest', 'failed', 'right'];
  const line = (operation) => {
    const of = (metric) => (metrics[`${metric}{operation:${operation}${tags}}`] || { values: {} }).values;
    const [reqs, time] = [of('http_reqs'), of('http_req_duration')];
    const times = ['med', 'p(95)', 'p(99)', 'p(99.9)', 'max'].map((statistic) => ms(time[statistic]));
    const [count, rate] = [reqs.count === undefined ? '-' : String(reqs.count), reqs.rate === undefined ? '-' : reqs.rate.toFixed(1)];
    return [operation, count, rate, ...times, percent(of('http_req_failed').rate), percent(of('checks').rate)];
  };
  return table([head, ...operations.map(line)]);
}

/**
 * Makes `handleSummary`. `SUMMARY=FILE` writes the figures to a file too. Told to use the newer form of its data (which has no
 * thresholds in it), k6 prints its own summary: the exit code is the same.
 */
export function summary(script, limits, load, phases = []) {
  return (data) => {
    if (!data.metrics) return undefined;
    const operations = Object.keys(limits);
    const missed = [];
    for (const [metric, { thresholds: of = {} }] of Object.entries(data.metrics)) {
      for (const [expression, { ok }] of Object.entries(of)) if (!ok) missed.push(`${metric}: ${expression}`);
    }
    const took = (data.state.testRunDurationMs / 1000).toFixed(0);
    let said = `\n${script}: ${load.shape}, ${load.rate} a second at the most, ${took} s\n\n${figures(data.metrics, operations)}`;
    for (const phase of phases) said += `\n${phase}\n${figures(data.metrics, operations, `,phase:${phase}`)}`;
    const dropped = data.metrics.dropped_iterations;
    said += `\niterations that found no virtual user free: ${dropped ? dropped.values.count : 0}\n`;
    said += missed.length === 0 ? 'PASSED\n' : `FAILED\n${missed.sort().map((one) => `  missed: ${one}\n`).join('')}`;
    const told = { stdout: said };
    const file = text('SUMMARY');
    if (file) told[file] = JSON.stringify({ script, load, passed: missed.length === 0, missed, metrics: data.metrics }, null, 2);
    return told;
  };
}

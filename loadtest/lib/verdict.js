// Thresholds and summary. A missed threshold makes k6 exit with 99, and the summary names it.
//
// Every request and check has the tag `operation`, and each operation has its own thresholds: an average over
// verifications and sign-ins, whose durations differ a hundredfold, would be useless.

import { number, text } from './settings.js';
import { plannedIterations } from './shapes.js';

/** The trend statistics that summaries show. */
export const STATISTICS = ['avg', 'min', 'med', 'p(95)', 'p(99)', 'p(99.9)', 'max'];

const limitVariable = (operation) => `P99_${operation.toUpperCase().replace(/-/g, '_')}`;

/** The threshold of the 99th percentile; variables such as `P99_VERIFY=20` override the default. */
export function limit(operation, milliseconds) {
  return `p(99)<${number(limitVariable(operation), milliseconds)}`;
}

/**
 * The thresholds of each operation: it was called, with few errors, with passing checks and in time. k6 considers
 * thresholds without samples as passed, except for counters; so each operation is counted, and one that was never
 * called fails.
 */
export function thresholds(limits, load) {
  const errors = number('ERRORS', 0.001);
  const all = {
    // An iteration that could not start is as bad as a failed one.
    dropped_iterations: [`count<=${Math.ceil(plannedIterations(load) * errors)}`],
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

/** The k6 options common to all scripts. */
export function options(scenarios, all) {
  return { scenarios, thresholds: all, summaryTrendStats: STATISTICS, userAgent: 'signet-loadtest' };
}

const ms = (value) => (value === undefined ? '-' : value >= 100 ? value.toFixed(0) : value.toFixed(2));
const percent = (value) => (value === undefined ? '-' : `${(value * 100).toFixed(2)} %`);

/** Formats a table: the first column is left-aligned, the others right-aligned. */
function table(rows) {
  const widths = rows[0].map((_, at) => Math.max(...rows.map((row) => row[at].length)));
  const pad = (cell, at) => (at === 0 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]));
  return rows.map((row) => `  ${row.map(pad).join('  ')}\n`).join('');
}

/** A line for each operation; additional `tags` such as `,phase:late` select samples. */
function resultTable(metrics, operations, tags = '') {
  const head = ['operation', 'requests', 'per second', 'median ms', 'p95', 'p99', 'p99.9', 'max', 'failed', 'passed'];
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
 * Creates `handleSummary`. `SUMMARY=FILE` also writes the results to a file. If k6 is set to its newer summary
 * format, which has no thresholds, it prints its own summary; the exit code is the same.
 */
export function summary(script, limits, load, phases = []) {
  return (data) => {
    if (!data.metrics) return undefined;
    const operations = Object.keys(limits);
    const missed = [];
    for (const [metric, { thresholds: of = {} }] of Object.entries(data.metrics)) {
      for (const [expression, { ok }] of Object.entries(of)) if (!ok) missed.push(`${metric}: ${expression}`);
    }
    const elapsed = (data.state.testRunDurationMs / 1000).toFixed(0);
    let report = `\n${script}: ${load.shape}, peak rate ${load.rate} per second, ${elapsed} s\n\n${resultTable(data.metrics, operations)}`;
    for (const phase of phases) report += `\n${phase}\n${resultTable(data.metrics, operations, `,phase:${phase}`)}`;
    const dropped = data.metrics.dropped_iterations;
    report += `\ndropped iterations (no free virtual user): ${dropped ? dropped.values.count : 0}\n`;
    report += missed.length === 0 ? 'PASSED\n' : `FAILED\n${missed.sort().map((name) => `  missed: ${name}\n`).join('')}`;
    const output = { stdout: report };
    const file = text('SUMMARY');
    if (file) output[file] = JSON.stringify({ script, load, passed: missed.length === 0, missed, metrics: data.metrics }, null, 2);
    return output;
  };
}

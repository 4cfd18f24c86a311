// Reads the file that `SUMMARY=FILE` of the load tests writes (loadtest/README.md). Pure; knows no browser.

/** The largest file that is read: those of the scripts have some 100 kB. */
export const MAX_BYTES = 4 << 20;

/** The percentiles of a row, ascending. */
export const STATISTICS = ['med', 'p(95)', 'p(99)', 'p(99.9)', 'max'];

/** @param {unknown} value */
const finite = (value) => (typeof value === 'number' && Number.isFinite(value) ? value : null);

/**
 * The results by operation, or null if the text is not such a file.
 * @param {string} text
 */
export function readSummary(text) {
  let document;
  try {
    document = JSON.parse(text);
  } catch {
    return null;
  }
  const metrics = document?.metrics;
  if (typeof document?.script !== 'string' || typeof metrics !== 'object' || metrics === null) return null;
  const names = Object.keys(metrics).map((name) => /^http_req_duration\{operation:([^,{}]+)\}$/.exec(name)?.[1]);
  const operations = names.filter((name) => name !== undefined).map((name) => {
    const values = (/** @type {string} */ metric) => metrics[`${metric}{operation:${name}}`]?.values ?? {};
    const time = metrics[`http_req_duration{operation:${name}}`];
    const limits = Object.keys(time.thresholds ?? {}).map((rule) => /^p\(99\)<([\d.]+)$/.exec(rule)?.[1]);
    return {
      name,
      requests: finite(values('http_reqs').count),
      perSecond: finite(values('http_reqs').rate),
      failed: finite(values('http_req_failed').rate),
      checks: finite(values('checks').rate),
      marks: STATISTICS.map((statistic) => finite(time.values?.[statistic])),
      limit: finite(Number(limits.find((limit) => limit !== undefined) ?? NaN)),
    };
  });
  if (operations.length === 0) return null;
  const missed = Array.isArray(document.missed) ? document.missed.map(String) : [];
  return {
    script: document.script,
    shape: typeof document.load?.shape === 'string' ? document.load.shape : '',
    rate: finite(document.load?.rate),
    passed: document.passed === true,
    missed,
    dropped: finite(metrics.dropped_iterations?.values?.count) ?? 0,
    operations,
  };
}

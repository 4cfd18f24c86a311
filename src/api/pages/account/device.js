// What a `User-Agent` says of a device.

/** @type {[RegExp, string][]} */
const BROWSERS = [
  [/\bEdg(e|A|iOS)?\//, 'Edge'], [/\bOPR\//, 'Opera'], [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(Firefox|FxiOS)\//, 'Firefox'], [/\b(Chrome|CriOS|HeadlessChrome)\//, 'Chrome'], [/\bSafari\//, 'Safari'],
  [/^curl\//, 'curl'],
];

/** @type {[RegExp, string][]} */
const SYSTEMS = [
  [/iPhone/, 'iPhone'], [/iPad/, 'iPad'], [/Android/, 'Android'], [/Windows/, 'Windows'],
  [/Mac OS X|Macintosh/, 'macOS'],
  [/CrOS/, 'ChromeOS'], [/Linux/, 'Linux'],
];

/**
 * Browser and system, such as `Firefox, Linux`. Another agent's name is shown as it is, shortened.
 * @param {string | null | undefined} agent
 */
export function device(agent) {
  const text = agent ?? '';
  const find = (/** @type {[RegExp, string][]} */ list) => list.find(([pattern]) => pattern.test(text))?.[1];
  const parts = [find(BROWSERS), find(SYSTEMS)].filter(Boolean);
  return parts.length ? parts.join(', ') : text.slice(0, 60);
}

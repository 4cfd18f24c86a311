// The browser and the system that a `User-Agent` names. Mails and the command line name devices in the same way:
// `src/device.rs`.

/** The first match counts, because browsers name the browsers that they resemble too. @type {[RegExp, string][]} */
const BROWSERS = [
  [/\bEdg(e|A|iOS)?\//, 'Microsoft Edge'], [/\bOPR\//, 'Opera'], [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\bVivaldi\//, 'Vivaldi'], [/\b(Firefox|FxiOS)\//, 'Firefox'], [/\bChromium\//, 'Chromium'],
  [/\b(Chrome|CriOS|HeadlessChrome)\//, 'Chrome'], [/\bSafari\//, 'Safari'],
];

/** @type {[RegExp, string][]} */
const SYSTEMS = [
  [/iPhone/, 'iPhone'], [/iPad/, 'iPad'], [/Android/, 'Android'], [/CrOS/, 'ChromeOS'], [/Windows/, 'Windows'],
  [/Mac OS X|Macintosh/, 'macOS'], [/Linux/, 'Linux'],
];

/** The name with which the agent of another program begins, such as `curl/8.5.0`. */
const PROGRAM = /^(?!Mozilla\b)[A-Za-z][\w.+-]{0,39}(?=[/ ]|$)/;

/**
 * Browser or program, and system, such as `Firefox, Linux`. Empty if none is known.
 * @param {string | null | undefined} agent
 */
export function device(agent) {
  const text = agent ?? '';
  const find = (/** @type {[RegExp, string][]} */ list) => list.find(([pattern]) => pattern.test(text))?.[1];
  return [find(BROWSERS) ?? PROGRAM.exec(text)?.[0], find(SYSTEMS)].filter(Boolean).join(', ');
}

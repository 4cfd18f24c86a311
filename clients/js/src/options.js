// The options of a verifier and the requirements of a call, checked: a misspelt one must not weaken a check.

import { checkUrl } from './http.js';

/** One scope of a token (RFC 6749, 3.3). */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;

/** The name of a follower in reports. */
const FOLLOWER_NAME = /^[A-Za-z0-9._:/@-]{1,100}$/;

/** An API key: characters that the value of a header field can have. */
const API_KEY = /^[\x21-\x7e]+$/;

const DEFAULTS = {
  leeway: 5,
  feed: /** @type {const} */ ('live'),
  maxStaleness: 10,
  whenStale: /** @type {const} */ ('refuse'),
  cacheSize: 10_000,
  background: true,
};

/** @type {import('../types/index.d.ts').Clock} */
const SYSTEM_CLOCK = { now: () => Date.now(), monotonic: () => performance.now() };

/**
 * The global is looked up at each call, so that tools which replace it have an effect.
 * @type {typeof fetch}
 */
const currentFetch = (input, init) => fetch(input, init);

const KNOWN = ['issuer', 'audience', ...Object.keys(DEFAULTS), 'fetch', 'clock', 'onError', 'report'];

/** @typedef {import('../types/index.d.ts').VerifierOptions} Given */
/** @typedef {{ [Name in keyof Given]-?: Exclude<Given[Name], undefined> }} Complete */
/** @typedef {Omit<Complete, 'report'> & Pick<Given, 'report'>} Options */

/**
 * @param {Given} options
 * @returns {Options}
 */
export function checkOptions(options) {
  const isObject = typeof options === 'object' && options !== null;
  if (!isObject) throw new TypeError('createVerifier needs an object with issuer and audience');
  refuseUnknown(options, KNOWN, 'option');
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const defaults = { ...DEFAULTS, fetch: currentFetch, clock: SYSTEM_CLOCK, onError: warnSometimes() };
  const checked = /** @type {Options} */ ({ ...defaults, ...Object.fromEntries(given) });
  checkUrl(checked.issuer, 'issuer');
  if (typeof checked.audience !== 'string' || checked.audience === '') throw new TypeError('audience is required');
  for (const name of /** @type {const} */ (['leeway', 'maxStaleness', 'cacheSize'])) {
    const value = checked[name];
    if (typeof value !== 'number' || !(value >= 0)) throw new TypeError(`${name} must be a number, zero or more`);
  }
  checkWord(checked.feed, ['live', 'poll', 'off'], 'feed');
  checkWord(checked.whenStale, ['allow', 'refuse', 'ask'], 'whenStale');
  if (checked.report !== undefined) checkReport(checked.report);
  return checked;
}

/**
 * @param {import('../types/index.d.ts').Requirements | undefined} requirements
 * @returns {import('../types/index.d.ts').Requirements | undefined}
 */
export function checkRequirements(requirements) {
  if (requirements === undefined) return undefined;
  refuseUnknown(requirements, ['scopes', 'subject'], 'requirement');
  const { scopes = [], subject } = requirements;
  const areScopes = Array.isArray(scopes) && scopes.every((scope) => typeof scope === 'string' && SCOPE.test(scope));
  if (!areScopes) throw new TypeError('scopes must be an array of scopes');
  if (subject !== undefined) checkWord(subject, ['user', 'client'], 'subject');
  return requirements;
}

/** @param {NonNullable<Given['report']>} report */
function checkReport(report) {
  if (typeof report !== 'object' || report === null) throw new TypeError('report must be an object');
  refuseUnknown(report, ['name', 'apiKey'], 'member of report');
  const { name, apiKey } = report;
  if (typeof name !== 'string' || !FOLLOWER_NAME.test(name)) {
    throw new TypeError('report.name must be 1 to 100 letters, digits and ._:/@-');
  }
  if (typeof apiKey !== 'string' || !API_KEY.test(apiKey)) throw new TypeError('report.apiKey must be an API key');
}

/**
 * @param {object} given
 * @param {readonly string[]} known
 * @param {string} what
 */
function refuseUnknown(given, known, what) {
  for (const name in given) {
    if (!known.includes(name)) throw new TypeError(`unknown ${what}: ${name}`);
  }
}

/**
 * @param {unknown} value
 * @param {readonly string[]} words
 * @param {string} name
 */
function checkWord(value, words, name) {
  if (!words.includes(/** @type {string} */ (value))) throw new TypeError(`${name} must be one of ${words.join(', ')}`);
}

/** Warns on the console, at most once a minute about each kind of error. */
function warnSometimes() {
  /** @type {Map<unknown, number>} */
  const warned = new Map();
  return (/** @type {Error & { code?: unknown }} */ error) => {
    const now = Date.now();
    if (now - (warned.get(error.code) ?? -Infinity) < 60_000) return;
    warned.set(error.code, now);
    console.warn(`@signet/verify: ${error.message}`);
  };
}

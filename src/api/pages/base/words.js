// Texts in the user's language. Each page has one file per language beside those of this folder: `words/en.js` and
// `words/zh-Hant.js`, with the same keys (a test compares them).

import { computed, signal } from './view.js';

/** @typedef {Record<string, string>} Words */
/** @typedef {(language: string) => Promise<{ default: Words }>} LoadWords */

const STORED = 'signet.language';

/** The languages, by their own names. */
export const LANGUAGES = [['en', 'English'], ['zh-Hant', '繁體中文']];

/** @type {import('../vendor/signals.js').Signal<{ language: string, words: Words }>} */
const current = signal({ language: 'en', words: {} });

/** The language in use. */
export const language = computed(() => current.value.language);

/** @type {LoadWords[]} */
const loaders = [(chosen) => import(`./words/${chosen}.js`)];

/** Local storage, or nothing where the browser forbids it. */
function stored() {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

/** The language that the user chose before, or the first one of the browser's that there is. */
function preferred() {
  const chosen = stored();
  if (LANGUAGES.some(([tag]) => tag === chosen)) return /** @type {string} */ (chosen);
  const known = (navigator.languages ?? []).find((tag) => /^(zh|en)\b/i.test(tag));
  return known?.toLowerCase().startsWith('zh') ? 'zh-Hant' : 'en';
}

/**
 * Loads the texts of a page beside those of this folder.
 * @param {...LoadWords} load  `(language) => import(`./words/${language}.js`)`
 */
export async function startWords(...load) {
  loaders.push(...load);
  await use(preferred());
}

/** @param {string} chosen */
async function use(chosen) {
  const files = await Promise.all(loaders.map((load) => load(chosen)));
  document.documentElement.lang = chosen;
  current.value = { language: chosen, words: Object.assign({}, ...files.map((file) => file.default)) };
}

/**
 * Changes the language, now and for later visits.
 * @param {string} chosen
 */
export async function chooseLanguage(chosen) {
  await use(chosen);
  try {
    localStorage.setItem(STORED, chosen);
  } catch {
    // The choice holds until the page closes.
  }
}

/**
 * The text of a key. `{name}` in it is replaced by the value of that name. `key.one` is used instead of `key` where
 * `values.count` is 1 and the language has it.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function t(key, values = {}) {
  const { words } = current.value;
  const text = (values.count === 1 ? words[`${key}.one`] : undefined) ?? words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/**
 * @param {string} key
 * @returns {boolean} true if there is a text with this key
 */
export const hasText = (key) => key in current.value.words;

/**
 * @param {string | number | Date} time
 * @returns {string} date and time, short
 */
export const dateTime = (time) =>
  new Intl.DateTimeFormat(language.value, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(time));

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [['year', 31_536_000], ['month', 2_592_000], ['day', 86_400], ['hour', 3600], ['minute', 60]];

/**
 * @param {string | number | Date} time
 * @returns {string} how long ago it was, such as `3 minutes ago`
 */
export function ago(time) {
  const seconds = (new Date(time).getTime() - Date.now()) / 1000;
  const [unit, length] = UNITS.find(([, each]) => Math.abs(seconds) >= each) ?? ['second', 1];
  if (unit === 'second') return t('time.now');
  return new Intl.RelativeTimeFormat(language.value, { numeric: 'auto' }).format(Math.round(seconds / length), unit);
}

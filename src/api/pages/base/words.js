// Texts in the user's language. Each page has one file per language beside those of this folder: `words/en.js` and
// `words/zh-Hant.js`, with the same keys (a test compares them).

import { loadWords, preferredLanguage, storeLanguage, textOf } from './language.js';
import { computed, signal } from './view.js';

/** @typedef {import('./language.js').Words} Words */
/** @typedef {import('./language.js').LoadWords} LoadWords */

export { LANGUAGES } from './language.js';

/** @type {import('../vendor/signals.js').Signal<{ language: string, words: Words }>} */
const current = signal({ language: 'en', words: {} });

/** The language in use. */
export const language = computed(() => current.value.language);

/** @type {LoadWords[]} */
const loaders = [(chosen) => import(`./words/${chosen}.js`)];

/**
 * Loads the texts of a page beside those of this folder.
 * @param {...LoadWords} load  `(language) => import(`./words/${language}.js`)`
 */
export async function startWords(...load) {
  loaders.push(...load);
  await use(preferredLanguage());
}

/** @param {string} chosen */
async function use(chosen) {
  current.value = { language: chosen, words: await loadWords(loaders, chosen) };
}

/**
 * Changes the language, now and for later visits.
 * @param {string} chosen
 */
export async function chooseLanguage(chosen) {
  await use(chosen);
  storeLanguage(chosen);
}

/**
 * The text of a key: see `textOf`.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export const t = (key, values = {}) => textOf(current.value.words, key, values);

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

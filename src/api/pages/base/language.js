// The language of a page and how its texts are read. Draws nothing, so that pages without Preact use it too.

/** @typedef {Record<string, string>} Words */
/** @typedef {(language: string) => Promise<{ default: Words }>} LoadWords */

const STORED = 'signet.language';

/** The languages, by their own names. */
export const LANGUAGES = [['en', 'English'], ['zh-Hant', '繁體中文']];

/** Local storage, or nothing where the browser forbids it. */
function stored() {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

/** The language that the user chose before, or the first one of the browser's that there is. */
export function preferredLanguage() {
  const chosen = stored();
  if (LANGUAGES.some(([tag]) => tag === chosen)) return /** @type {string} */ (chosen);
  const known = (navigator.languages ?? []).find((tag) => /^(zh|en)\b/i.test(tag));
  return known?.toLowerCase().startsWith('zh') ? 'zh-Hant' : 'en';
}

/**
 * Keeps the language for later visits.
 * @param {string} chosen
 */
export function storeLanguage(chosen) {
  try {
    localStorage.setItem(STORED, chosen);
  } catch {
    // The choice holds until the page closes.
  }
}

/**
 * Loads texts, and says which language the document is in.
 * @param {LoadWords[]} loaders
 * @param {string} chosen
 * @returns {Promise<Words>}
 */
export async function loadWords(loaders, chosen) {
  const files = await Promise.all(loaders.map((load) => load(chosen)));
  document.documentElement.lang = chosen;
  return Object.assign({}, ...files.map((file) => file.default));
}

/**
 * The text of a key. `{name}` in it is replaced by the value of that name. `key.one` is used instead of `key` where
 * `values.count` is 1 and the language has it.
 * @param {Words} words
 * @param {string} key
 * @param {Record<string, string | number>} values
 * @returns {string}
 */
export function textOf(words, key, values) {
  const text = (values.count === 1 ? words[`${key}.one`] : undefined) ?? words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

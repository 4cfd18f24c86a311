// The texts of the API reference in the user's language. It does not load those of `base/`, of which it would need six,
// because the page has to stay small.

import { loadWords, preferredLanguage, storeLanguage, textOf } from '../base/language.js';

const LOADERS = [(chosen) => import(`./words/${chosen}.js`)];

let language;
let words = {};

/** The language in use. */
export const currentLanguage = () => language;

/** Loads the texts in the language that the user prefers. */
export const startWords = () => use(preferredLanguage());

async function use(chosen) {
  words = await loadWords(LOADERS, chosen);
  language = chosen;
}

/** Changes the language, now and for later visits. */
export async function chooseLanguage(chosen) {
  await use(chosen);
  storeLanguage(chosen);
}

/** The text of a key: see `textOf`. */
export const t = (key, values = {}) => textOf(words, key, values);

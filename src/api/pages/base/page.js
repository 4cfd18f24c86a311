// Starts a page: loads its texts, then draws it into `#page`.

import { FACTS } from './facts.js';
import { startWords, t } from './words.js';
import { html, render } from './view.js';

/**
 * @param {object} page
 * @param {import('./words.js').LoadWords | import('./words.js').LoadWords[]} page.words  one loader, or several:
 *   `(language) => import(`./words/${language}.js`)`
 * @param {() => import('./view.js').View} page.view  the component that is the page
 */
export async function startPage({ words, view }) {
  await startWords(...[words].flat());
  const place = /** @type {HTMLElement} */ (document.getElementById('page'));
  place.replaceChildren();
  render(html`<${view} />`, place);
}

/**
 * Sets the title of the window: the key of a text, in the language of the moment.
 * @param {string} key
 */
export function useTitle(key) {
  document.title = `${t(key)} · ${FACTS.service}`;
}

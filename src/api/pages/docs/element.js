// Creates elements without markup in strings, so that no content is ever parsed as HTML.

import { t } from './words.js';

/** Creates an element with attributes, listeners (`onclick`) and children. Null and false are left out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? '' : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A button that copies the result of `text`. */
export function copyButton(text) {
  const button = element('button', { type: 'button', class: 'copy' }, t('docs.copy'));
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = t('docs.copied');
    } catch {
      // Without HTTPS there is no clipboard access; the user can select the text.
      return;
    }
    setTimeout(() => { button.textContent = t('docs.copy'); }, 1500);
  });
  return button;
}

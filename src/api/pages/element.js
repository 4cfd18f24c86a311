// Elements without markup in strings: what a page shows is never read as HTML.

/** An element with attributes, listeners (`onclick`) and children; what is null or false is left out. */
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

/** A button that copies what `text` gives. */
export function copyButton(text, words = { copy: 'Copy', copied: 'Copied' }) {
  const button = element('button', { type: 'button', class: 'copy' }, words.copy);
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = words.copied;
    } catch {
      // No clipboard without HTTPS: the text is there to be selected.
      return;
    }
    setTimeout(() => { button.textContent = words.copy; }, 1500);
  });
  return button;
}

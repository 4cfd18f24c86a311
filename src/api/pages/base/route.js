// The view of the page that is open: the part of the address after `#/`. The back button works, and nothing of it is
// sent to the server.

import { signal } from './view.js';

const read = () => location.hash.replace(/^#\/?/, '');

/** The current route, such as `sessions`; empty at the start. */
export const route = signal(read());

addEventListener('hashchange', () => {
  route.value = read();
});

/**
 * Goes to another route. With `replace`, the back button does not return to this one.
 * @param {string} to
 * @param {{ replace?: boolean }} [options]
 */
export function go(to, { replace = false } = {}) {
  if (replace) history.replaceState(null, '', `#/${to}`);
  else history.pushState(null, '', `#/${to}`);
  route.value = to;
}

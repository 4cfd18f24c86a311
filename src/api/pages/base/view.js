// The functions that every page draws with. Pages import them from here, so that only this file knows the vendored
// modules.

import htm from '../vendor/htm.js';
import { h, render } from '../vendor/preact.js';

export { Fragment } from '../vendor/preact.js';
export { useEffect, useId, useLayoutEffect, useRef, useState } from '../vendor/hooks.js';
export { batch, computed, effect, signal, useComputed, useSignal } from '../vendor/signals.js';
export { render };

/**
 * The value that a component returns.
 * @typedef {any} View
 */

/**
 * A template of elements and components: html`<p class="small">${text}</p>`. Values are never parsed as markup.
 * @type {(strings: TemplateStringsArray, ...values: any[]) => View}
 */
export const html = htm.bind(h);

// Components that several screens of the console share.

import { Dialog, Field, Form, Time as At } from '../base/components.js';
import { html, useId, useLayoutEffect, useRef, useSignal, useState } from '../base/view.js';
import { t } from '../base/words.js';
import { readOnly } from './resource.js';

/** @typedef {import('./screens/chart.js').Drawn} Drawn */
/** @typedef {import('../base/http.js').Result} Result */
/** @typedef {import('../base/view.js').View} View */

/**
 * A drawing of `chart.js`.
 * @param {{ of: Drawn | string }} props
 * @returns {View}
 */
export const Drawing = ({ of }) => (typeof of === 'string' ? of
  : html`<${of.name} ...${of.attributes}>${of.children.map((child) => html`<${Drawing} of=${child} />`)}<//>`);

/**
 * A drawing as wide as its place.
 * @param {{ draw: (width: number) => Drawn }} props
 */
export function Chart({ draw }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    if (place.current) observer.observe(place.current);
    return () => observer.disconnect();
  }, []);
  return html`<div class="plot" ref=${place}>
    ${width > 0 && html`<${Drawing} of=${draw(Math.max(width, 220))} />`}</div>`;
}

/**
 * A table that scrolls inside its own frame where the screen is narrow.
 * @param {{ label: string, head: string[], children: View }} props
 */
export const Table = ({ label, head, children }) => html`
  <div class="scroll" tabindex="0" role="group" aria-label=${label}>
    <table><thead><tr>${head.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
      <tbody>${children}</tbody></table>
  </div>`;

/**
 * Nothing to show, and the command that changes that.
 * @param {{ text: string, command?: string }} props
 */
export const Empty = ({ text, command = '' }) => html`
  <div class="empty"><p>${text}</p>${command && html`<pre tabindex="0"><code>${command}</code></pre>`}</div>`;

/** @param {{ at: string | null | undefined }} props */
export const Time = ({ at }) => (at ? html`<${At} at=${at} />` : html`<span class="small">–</span>`);

/** @param {{ tone?: string, children: View }} props */
export const Badge = ({ tone = '', children }) => html`<span class=${`badge ${tone}`}>${children}</span>`;

/**
 * A button that opens the dialog of a change. Disabled while a store is down.
 * @param {{ press: () => void, kind?: string, disabled?: boolean, label?: string, children: View }} props
 *   `label` names it for screen readers
 */
export const ChangeButton = ({ press, kind = 'quiet', disabled = false, label, children }) => html`
  <button type="button" class=${kind} disabled=${disabled || readOnly.value} aria-label=${label ?? null}
    onClick=${press}>${children}</button>`;

/** @param {{ label: string, value: import('../vendor/signals.js').Signal<boolean> }} props */
export const Check = ({ label, value }) => html`<label class="check"><input type="checkbox" checked=${value.value}
  onChange=${(/** @type {any} */ event) => { value.value = event.currentTarget.checked; }} /> ${label}</label>`;

/**
 * @param {{ label: string, value: string, choose: (value: string) => void, options: [string, string][] }} props
 *   `options`: value and text of each
 */
export function Choice({ label, value, choose, options }) {
  const id = useId();
  return html`<div class="field"><label for=${id}>${label}</label>
    <select id=${id} value=${value} onChange=${(/** @type {any} */ event) => choose(event.currentTarget.value)}>
      ${options.map(([each, text]) => html`<option value=${each} selected=${each === value}>${text}</option>`)}
    </select></div>`;
}

/**
 * A text of several lines.
 * @param {{ label: string, value: import('../vendor/signals.js').Signal<string>, rows?: number,
 *   [extra: string]: any }} props
 */
export function Area({ label, value, rows = 4, ...rest }) {
  const id = useId();
  return html`<div class="field"><label for=${id}>${label}</label>
    <textarea id=${id} class="mono" rows=${rows} autocapitalize="none" spellcheck=${false} autocomplete="off" ...${rest}
      value=${value.value} onInput=${(/** @type {any} */ event) => { value.value = event.currentTarget.value; }} />
  </div>`;
}

/**
 * A form in a dialog that makes one change.
 * @param {{ title: string, label: string, kind?: 'bad' | '', send: () => Promise<Result | null>,
 *   done: (result: Result) => void, close: () => void, children?: View }} props
 */
export const FormDialog = ({ title, close, children, ...form }) => html`<${Dialog} title=${title} close=${close}>
  <${Form} ...${form} secondary=${html`<button type="button" class="quiet" onClick=${close}>
    ${t('action.cancel')}</button>`}>
    ${children}<//><//>`;

/**
 * Asks before a change that cannot be undone. With `typed`, the user types that name first.
 * @param {{ title: string, text: string, label: string, typed?: string, send: () => Promise<Result>,
 *   done: (result: Result) => void, close: () => void }} props
 */
export function Confirm({ text, typed = '', send, ...rest }) {
  const name = useSignal('');
  const checked = async () => (typed === '' || name.value.trim() === typed ? send()
    : { ok: false, status: 400, body: null, type: 'name_differs', retryAfter: 0 });
  return html`<${FormDialog} kind="bad" send=${checked} ...${rest}><p>${text}</p>
    ${typed && html`<${Field} label=${t('confirm.type', { name: typed })} name="typed" value=${name}
      autocomplete="off" />`}
  <//>`;
}

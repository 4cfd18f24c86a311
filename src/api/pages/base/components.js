// Components that all pages share. Their styles are in style.css. Callers pass texts in the user's language.

import { device } from './device.js';
import { BASE, FACTS } from './facts.js';
import { errorText } from './http.js';
import { html, useEffect, useId, useLayoutEffect, useRef, useState } from './view.js';
import { ago, chooseLanguage, dateTime, language, LANGUAGES, t } from './words.js';

/** @typedef {import('./http.js').Result} Result */
/** @typedef {import('./view.js').View} View */

/**
 * The frame of a page: header with the name of the service, content, footer with the language.
 * @param {{ wide?: boolean, nav?: View, actions?: View, children?: View }} props  `nav` stands beside the content,
 *   `actions` at the right of the header
 */
export function Frame({ wide = false, nav = null, actions = null, children }) {
  return html`<div class=${wide ? 'frame wide' : 'frame'}>
    <a class="skip" href="#main" onClick=${skipToContent}>${t('frame.skip')}</a>
    <header class="bar"><${Brand} /><div class="actions">${actions}</div></header>
    <div class=${nav ? 'columns' : ''}>${nav}<main id="main" tabindex="-1">${children}</main></div>
    <footer class="foot"><${LanguageChoice} /></footer>
  </div>`;
}

/** @param {Event} event */
function skipToContent(event) {
  // The address stays, because it holds the route.
  event.preventDefault();
  document.getElementById('main')?.focus();
}

function Brand() {
  if (FACTS.logo) {
    return html`<div class="brand">
      <img class="logo" src=${`${BASE}/pages/logo`} alt=${FACTS.service} height="40" /></div>`;
  }
  return html`<div class="brand">
    <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true"><circle cx="16" cy="16" r="14.5" fill="none"
      stroke="currentColor" stroke-width="2" /><circle cx="16" cy="16" r="6" fill="currentColor" /></svg>
    <span>${FACTS.service}</span>
  </div>`;
}

function LanguageChoice() {
  return html`<div class="languages" role="group" aria-label=${t('frame.language')}>
    ${LANGUAGES.map(([tag, name]) => html`<button type="button" class="link" lang=${tag}
      aria-pressed=${language.value === tag} onClick=${() => chooseLanguage(/** @type {string} */ (tag))}>
      ${name}</button>`)}
  </div>`;
}

/**
 * A part of a page with a heading.
 * @param {{ title: string, lead?: View, level?: 1 | 2, children?: View }} props
 */
export function Card({ title, lead = null, level = 2, children }) {
  const id = useId();
  const heading = level === 1 ? html`<${Title}>${title}<//>` : html`<h2 id=${id}>${title}</h2>`;
  return html`<section class="card" aria-labelledby=${level === 1 ? null : id}>
    ${heading}${lead && html`<p class="lead">${lead}</p>`}${children}
  </section>`;
}

/**
 * The heading of a page. Receives the focus when it appears, so that a screen reader reads it.
 * @param {{ children: View }} props
 */
export function Title({ children }) {
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    // At the first load the focus stays where the browser puts it.
    if (document.activeElement && document.activeElement !== document.body) return;
    heading.current?.focus({ preventScroll: true });
  }, []);
  return html`<h1 tabindex="-1" ref=${heading}>${children}</h1>`;
}

/**
 * A message. A mistake is announced at once, other messages when the screen reader is free.
 * @param {{ kind?: 'bad' | 'good' | 'note' | 'warn', children: View }} props
 */
export function Notice({ kind = 'note', children }) {
  return html`<div class=${`note ${kind}`} role=${kind === 'bad' ? 'alert' : 'status'}>${children}</div>`;
}

/** @param {{ text?: string }} props */
export function Loading({ text }) {
  return html`<p class="loading" role="status">${text ?? t('state.loading')}</p>`;
}

/**
 * The error of a failed request, in place of its data.
 * @param {{ result: Result, retry?: () => void }} props
 */
export function Failed({ result, retry }) {
  return html`<${Notice} kind="bad"><p>${errorText(result)}</p>
    ${retry && html`<p><button type="button" class="quiet" onClick=${retry}>${t('state.retry')}</button></p>`}<//>`;
}

/**
 * Data of a request, with its states: loading, failed, loaded. `children` draws the body.
 * @param {{ load: () => Promise<Result>, children: (body: any, again: () => Promise<void>) => View }} props
 */
export function Loaded({ load, children }) {
  const { result, again } = useLoad(load);
  if (!result) return html`<${Loading} />`;
  return result.ok ? children(result.body, again) : html`<${Failed} result=${result} retry=${again} />`;
}

/**
 * Sends a request when the component appears. `again` sends it again and keeps the old result until the new one
 * arrives.
 * @param {() => Promise<Result>} load
 */
export function useLoad(load) {
  const [result, setResult] = useState(/** @type {Result | null} */ (null));
  const alive = useRef(true);
  const again = async () => {
    const next = await load();
    if (alive.current) setResult(next);
  };
  useEffect(() => {
    alive.current = true;
    void again();
    return () => { alive.current = false; };
  }, []);
  return { result, again };
}

/**
 * A form that sends one request. Disabled while it is being sent; shows the error under the fields, and puts the focus
 * on the first field that is empty or refused.
 * @param {object} props
 * @param {() => Promise<Result | null>} props.send  null: nothing was sent
 * @param {(result: Result) => void} [props.done]  called with a successful result
 * @param {string} props.label  the text of the button
 * @param {'bad' | ''} [props.kind]  `bad` for what cannot be undone
 * @param {(result: Result) => boolean} [props.failed]  true: the failure is shown elsewhere
 * @param {View} [props.secondary]  beside the button
 * @param {View} [props.children]
 */
export function Form({ send, done, label, kind = '', failed, secondary = null, children }) {
  const form = useRef(/** @type {HTMLFormElement | null} */ (null));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  /** @param {Event} event */
  const submit = async (event) => {
    event.preventDefault();
    if (busy) return;
    const wrong = /** @type {HTMLInputElement | null} */ (form.current?.querySelector(':is(input, textarea):invalid'));
    if (wrong) {
      const { valueMissing, typeMismatch } = wrong.validity;
      setError(t(valueMissing ? 'form.incomplete' : typeMismatch ? 'error.invalid_email' : 'form.invalid'));
      wrong.focus();
      return;
    }
    setError('');
    setBusy(true);
    const result = await send();
    setBusy(false);
    if (!result) return;
    if (result.ok) done?.(result);
    else if (!failed?.(result)) setError(errorText(result));
  };
  return html`<form ref=${form} novalidate onSubmit=${submit} aria-busy=${busy}>
    ${children}
    ${error && html`<${Notice} kind="bad">${error}<//>`}
    <div class="row"><button type="submit" class=${kind} aria-disabled=${busy}>${label}</button>${secondary}</div>
  </form>`;
}

/**
 * A field with its label. Extra properties go to the input.
 * @param {{ label: string, help?: View, value: import('../vendor/signals.js').Signal<string>, name: string,
 *   [extra: string]: any }} props
 */
export function Field({ label, help = null, value, name, ...rest }) {
  const id = useId();
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <input id=${id} name=${name} type="text" autocapitalize="none" spellcheck=${false} required ...${rest}
      value=${value.value} aria-describedby=${help ? `${id}-help` : null}
      onInput=${(/** @type {any} */ event) => { value.value = event.target.value; }} />
    ${help && html`<div class="help" id=${`${id}-help`}>${help}</div>`}
  </div>`;
}

/**
 * A field for a password, with a button that shows it. Meant for an existing password unless `rest` says otherwise.
 * @param {{ label: string, value: import('../vendor/signals.js').Signal<string>, name?: string, help?: View,
 *   [extra: string]: any }} props
 */
export function PasswordField({ label, value, name = 'password', help = null, ...rest }) {
  const id = useId();
  const [shown, setShown] = useState(false);
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <div class="joined">
      <input id=${id} name=${name} type=${shown ? 'text' : 'password'} autocomplete="current-password"
        autocapitalize="none"
        spellcheck=${false} required ...${rest} value=${value.value} aria-describedby=${help ? `${id}-help` : null}
        onInput=${(/** @type {any} */ event) => { value.value = event.target.value; }} />
      <button type="button" class="quiet" aria-pressed=${shown} aria-label=${t('password.show')}
        onClick=${() => setShown(!shown)}>${shown ? t('password.hide_short') : t('password.show_short')}</button>
    </div>
    ${help && html`<div class="help" id=${`${id}-help`}>${help}</div>`}
  </div>`;
}

/** The characters of a text as the server counts them: Unicode scalar values. @param {string} text */
const length = (text) => [...text].length;

/**
 * True if a new password follows the rules that can be checked here.
 * @param {string} text
 */
export const isAllowedPassword = (text) =>
  length(text) >= FACTS.password.min && length(text) <= FACTS.password.max && text.trim() !== '';

/**
 * A field for a new password: its rules are shown before and while typing.
 * @param {{ label: string, value: import('../vendor/signals.js').Signal<string> }} props
 */
export function NewPasswordField({ label, value }) {
  const { min, max, common } = FACTS.password;
  const count = length(value.value);
  /** @type {[boolean, string][]} */
  const rules = [[count >= min, t('password.rule_min', { count: min })]];
  if (count > max) rules.push([false, t('password.rule_max', { count: max })]);
  const help = html`<ul class="rules">
    ${rules.map(([met, text]) => html`<li class=${met ? 'met' : ''}>
      <span aria-hidden="true">${met ? '✓' : '○'}</span> ${text}
      ${count > 0 && html`<span class="unseen">: ${met ? t('password.met') : t('password.unmet')}</span>`}</li>`)}
    ${common && html`<li><span aria-hidden="true">·</span> ${t('password.rule_common')}</li>`}
  </ul>`;
  return html`<${PasswordField} label=${label} value=${value} name="new-password" autocomplete="new-password"
    help=${help}
    aria-invalid=${count > 0 && !isAllowedPassword(value.value)} />`;
}

/**
 * A button that acts at once: disabled meanwhile, with the error beside it.
 * @param {{ act: () => Promise<Result | null | void>, kind?: string, children: View, label?: string }} props
 *   `label` names the button for screen readers
 */
export function ActionButton({ act, kind = 'quiet', children, label }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const press = async () => {
    if (busy) return;
    setError('');
    setBusy(true);
    const result = await act();
    setBusy(false);
    if (result && !result.ok) setError(errorText(result));
  };
  return html`<span class="action"><button type="button" class=${kind} aria-disabled=${busy} aria-label=${label ?? null}
    onClick=${press}>${children}</button>${error && html`<${Notice} kind="bad">${error}<//>`}</span>`;
}

/** @param {{ cancel: () => void }} props */
export function Cancel({ cancel }) {
  return html`<button type="button" class="quiet" onClick=${cancel}>${t('state.cancel')}</button>`;
}

/**
 * A text to copy.
 * @param {{ label: string, text: string }} props
 */
export function CopyField({ label, text }) {
  const id = useId();
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      setTimeout(() => setCopied(false), 1500);
    } catch {
      // Without permission, the user copies the selected text.
      /** @type {HTMLInputElement | null} */ (document.querySelector(`[id="${id}"]`))?.select();
    }
  };
  return html`<div class="field"><label for=${id}>${label}</label><div class="joined">
    <input id=${id} class="mono" readonly value=${text}
      onFocus=${(/** @type {any} */ event) => event.target.select()} />
    <button type="button" class="quiet" onClick=${copy}>${copied ? t('copy.done') : t('copy.do')}</button>
  </div></div>`;
}

/**
 * A modal question. Escape closes it; the focus returns to where it was.
 * @param {{ title: string, close: () => void, children: View }} props
 */
export function Dialog({ title, close, children }) {
  const id = useId();
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  // Before the browser handles the next key: an Escape right after the click must close the dialog.
  useLayoutEffect(() => {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    dialog.current?.showModal();
    return () => before?.focus();
  }, []);
  return html`<dialog ref=${dialog} aria-labelledby=${id} onClose=${close}>
    <h2 id=${id}>${title}</h2>${children}
  </dialog>`;
}

/**
 * A time: how long ago, with the exact time on hover and for programs.
 * @param {{ at: string }} props
 */
export function Time({ at }) {
  return html`<time datetime=${at} title=${dateTime(at)}>${ago(at)}</time>`;
}

/**
 * The device of a user agent, with the whole agent on hover.
 * @param {{ of: string | null | undefined }} props
 */
export const Device = ({ of }) => html`<span title=${of || null}>${device(of) || t('device.unknown')}</span>`;

/**
 * Links between the routes of a page.
 * @param {{ label: string, current: string, items: [string, string][] }} props  route and text of each
 */
export function Nav({ label, current, items }) {
  return html`<nav class="nav" aria-label=${label}><ul>${items.map(([to, text]) => html`<li>
    <a href=${`#/${to}`} aria-current=${to === current ? 'page' : null}>${text}</a></li>`)}</ul></nav>`;
}

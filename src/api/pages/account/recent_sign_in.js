// Changes that need a recent sign-in: a dialog asks for the password, or for a code that it mails where there is no
// password, and the change is then repeated.

import { Cancel, Dialog, Field, Form, Notice, PasswordField } from '../base/components.js';
import { errorText, send } from '../base/http.js';
import { call, changePassword, sessionId, signIn } from '../base/session.js';
import { html, signal, useEffect, useSignal, useState } from '../base/view.js';
import { t } from '../base/words.js';
import { me } from './me.js';

/** @typedef {import('../base/http.js').Result} Result */

/**
 * Set while the dialog is open; closes it. `done` is true if the user signed in.
 * @type {import('../vendor/signals.js').Signal<((done: boolean) => void) | null>}
 */
const closeDialog = signal(/** @type {((done: boolean) => void) | null} */ (null));

/**
 * Makes a request, and once more after the user has signed in again if the server demands that.
 * @param {() => Promise<Result>} attempt
 * @returns {Promise<Result>}
 */
async function withRecentSignIn(attempt) {
  const result = await attempt();
  if (result.type !== 'insufficient_user_authentication') return result;
  const done = await new Promise((resolve) => { closeDialog.value = resolve; });
  closeDialog.value = null;
  return done ? attempt() : result;
}

/**
 * `call` for a change that may need a recent sign-in.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 */
export const change = (method, path, body) => withRecentSignIn(() => call(method, path, body));

/**
 * The same for the password.
 * @param {Record<string, unknown>} body
 */
export const setPassword = (body) => withRecentSignIn(() => changePassword(body));

/**
 * Signs in, and ends the session that the new one replaces, which would be listed as another device. It is known from
 * the access token, because the server limits how often sessions are listed.
 * @param {Record<string, unknown>} body
 */
async function replaceSession(body) {
  const old = sessionId();
  const result = await signIn(body);
  // If this fails, the user can end it in the list. Nobody can use it: the new cookie replaced its refresh token.
  if (result.ok && old) await call('DELETE', `/sessions/${encodeURIComponent(old)}`);
  return result;
}

/** The dialog, while a change waits for it. */
export const SignInAgain = () => (closeDialog.value && me.value
  ? html`<${SignInDialog} email=${me.value.email} hasPassword=${me.value.has_password} close=${closeDialog.value} />`
  : null);

/** @param {{ email: string, hasPassword: boolean, close: (done: boolean) => void }} props */
function SignInDialog({ email, hasPassword, close }) {
  const [proof, factor] = [useSignal(''), useSignal('')];
  const [needed, setNeeded] = useState(false);
  const [problem, setProblem] = useState('');
  const mail = async () => {
    const result = await send('POST', '/codes', { body: { email } });
    setProblem(result.ok ? '' : errorText(result));
  };
  useEffect(() => { if (!hasPassword) void mail(); }, []);
  const attempt = () => replaceSession({
    email, [hasPassword ? 'password' : 'code']: hasPassword ? proof.value : proof.value.replace(/\s/g, ''),
    ...(needed ? { mfa_code: factor.value.trim() } : {}),
  });
  const failed = (/** @type {Result} */ result) => {
    const first = result.type === 'mfa_required' && !needed;
    if (first) setNeeded(true);
    return first;
  };
  return html`<${Dialog} title=${t('again.title')} close=${() => close(false)}>
    <p>${t(hasPassword ? 'again.password' : 'again.code', { email })}</p>
    ${problem && html`<${Notice} kind="bad">${problem}<//>`}
    <${Form} label=${t('sign_in.button')} send=${attempt} failed=${failed} done=${() => close(true)}
      secondary=${html`<${Cancel} cancel=${() => close(false)} />`}>
      ${hasPassword ? html`<${PasswordField} label=${t('field.password')} value=${proof} />`
        : html`<${Field} label=${t('field.mailed_code')} name="code" autocomplete="one-time-code" inputmode="numeric"
          value=${proof} />`}
      ${needed && html`<${Field} label=${t('again.factor')} name="mfa-code" autocomplete="one-time-code"
        value=${factor} />`}
    <//>
    ${!hasPassword && html`<p class="below"><button type="button" class="link" onClick=${mail}>
      ${t('sign_in.code_resend')}</button></p>`}<//>`;
}

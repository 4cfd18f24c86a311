// Signing in to the console: with the password, and the second factor where there is one.

import { Card, Dialog, Field, Form, Notice, PasswordField } from '../base/components.js';
import { signIn } from '../base/session.js';
import { html, useSignal } from '../base/view.js';
import { t } from '../base/words.js';
import { Empty } from './parts.js';

/** @typedef {import('../base/http.js').Result} Result */

/**
 * The form. Asks for the code of the second factor once the server demands it.
 * @param {{ email?: string, done?: () => void }} props
 */
function SignIn({ email = '', done }) {
  const [name, password, code, needed] = [useSignal(email), useSignal(''), useSignal(''), useSignal(false)];
  const send = () => signIn({
    [name.value.includes('@') ? 'email' : 'username']: name.value.trim(), password: password.value,
    ...(needed.value ? { mfa_code: code.value.trim() } : {}),
  });
  const failed = (/** @type {Result} */ result) => {
    const first = result.type === 'mfa_required' && !needed.value;
    if (first) needed.value = true;
    return first;
  };
  return html`<${Form} label=${t('enter.button')} send=${send} failed=${failed} done=${() => done?.()}>
    <${Field} label=${t('enter.name')} name="username" autocomplete="username" value=${name} />
    <${PasswordField} label=${t('enter.password')} value=${password} />
    ${needed.value && html`<${Field} label=${t('enter.code')} name="code" autocomplete="one-time-code" value=${code}
      help=${t('enter.code_help')} />`}<//>`;
}

/** The page of someone who is not signed in. */
export const SignInPage = () => html`<${Card} level=${1} title=${t('enter.title')} lead=${t('enter.lead')}><${SignIn} />
  <details class="first"><summary>${t('enter.first')}</summary>
    <${Empty} text=${t('enter.first_lead')}
      command="signet users create --email you@example.org --superuser --verified --password-stdin" /></details><//>`;

/**
 * Asks for another sign-in, above the screen, which stays as it is.
 * @param {{ reason: string, email: string, done: (signedIn: boolean) => void }} props
 */
export const SignInDialog = ({ reason, email, done }) => html`
  <${Dialog} title=${t('enter.again')} close=${() => done(false)}><${Notice}>${reason}<//>
    <${SignIn} email=${email} done=${() => done(true)} /><//>`;

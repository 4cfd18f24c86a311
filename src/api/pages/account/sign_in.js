// Signing in: with a password, a mailed code or a mailed link, and then with the second factor where there is one.

import { Card, Field, Form, Notice, PasswordField } from '../base/components.js';
import { FACTS } from '../base/facts.js';
import { errorText, send } from '../base/http.js';
import { signIn } from '../base/session.js';
import { html, useSignal, useState } from '../base/view.js';
import { t } from '../base/words.js';
import { storeDeviceSecret } from './device_secret.js';

/** @typedef {import('../base/http.js').Result} Result */

/**
 * `code` and `link` after the mail was sent; `mfa` with what is repeated together with the second factor.
 * @typedef {{ at: 'password' | 'code' | 'link' } | { at: 'mfa', body: Record<string, unknown> }} Step
 */

/** @param {{ title?: string }} props */
export function SignIn({ title }) {
  const [step, setStep] = useState(/** @type {Step} */ ({ at: 'password' }));
  const login = useSignal('');
  const back = () => setStep({ at: 'password' });
  /** @param {Record<string, unknown>} body */
  const needsCode = (body) => (/** @type {Result} */ result) => {
    if (result.type === 'mfa_required') setStep({ at: 'mfa', body });
    return result.type === 'mfa_required';
  };
  switch (step.at) {
    case 'mfa':
      return html`<${SecondStep} key="mfa" body=${step.body} back=${back} />`;
    case 'code':
      return html`<${MailedCode} key="code" email=${login.value.trim()} needsCode=${needsCode} back=${back} />`;
    case 'link':
      return html`<${LinkSent} key="link" email=${login.value.trim()} back=${back} />`;
    default:
      return html`<${Start} key="start" title=${title ?? t('sign_in.title')} login=${login} needsCode=${needsCode}
        next=${setStep} />`;
  }
}

/** @param {{ title: string, login: any, needsCode: any, next: (step: Step) => void }} props */
function Start({ title, login, needsCode, next }) {
  const password = useSignal('');
  const body = () => {
    const name = login.value.trim();
    return { [name.includes('@') ? 'email' : 'username']: name, password: password.value };
  };
  return html`<${Card} level=${1} title=${title}>
    <${Form} label=${t('sign_in.button')} send=${() => signIn(body())}
      failed=${(/** @type {Result} */ result) => needsCode(body())(result)}
      secondary=${html`<a href="#/forgotten">${t('sign_in.forgotten')}</a>`}>
      <${Field} label=${t('sign_in.login')} name="username" autocomplete="username" value=${login} />
      <${PasswordField} label=${t('field.password')} value=${password} />
    <//>
    <${MailedSignIn} login=${login} next=${next} />
  <//>
  ${FACTS.registration && html`<p class="small">${t('sign_in.no_account')}${' '}
    <a href="#/sign-up">${t('sign_up.title')}</a></p>`}`;
}

/** The ways without a password. @param {{ login: any, next: (step: Step) => void }} props */
function MailedSignIn({ login, next }) {
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  /** @param {'code' | 'link'} at */
  const request = (at) => async () => {
    const email = login.value.trim();
    if (!email.includes('@')) {
      setError(t('sign_in.email_first'));
      return;
    }
    if (busy) return;
    setBusy(true);
    const result = await send('POST', at === 'code' ? '/codes' : '/magic-links', { body: { email } });
    setBusy(false);
    if (!result.ok) {
      setError(errorText(result));
      return;
    }
    if (at === 'link') storeDeviceSecret('magic', result.body.device_secret);
    next({ at });
  };
  return html`<hr /><h2>${t('sign_in.without')}</h2><p class="small">${t('sign_in.without_help')}</p>
    <div class="row">
      <button type="button" class="quiet" aria-disabled=${busy} onClick=${request('code')}>
        ${t('sign_in.send_code')}</button>
      <button type="button" class="quiet" aria-disabled=${busy} onClick=${request('link')}>
        ${t('sign_in.send_link')}</button>
    </div>
    ${error && html`<${Notice} kind="bad">${error}<//>`}`;
}

/** @param {{ email: string, needsCode: any, back: () => void }} props */
function MailedCode({ email, needsCode, back }) {
  const code = useSignal('');
  const [again, setAgain] = useState('');
  const body = () => ({ email, code: code.value.replace(/\s/g, '') });
  const resend = async () => {
    const result = await send('POST', '/codes', { body: { email } });
    setAgain(result.ok ? t('sign_in.code_again') : errorText(result));
  };
  return html`<${Card} level=${1} title=${t('sign_in.code_title')} lead=${t('sign_in.code_lead', { email })}>
    <${Form} label=${t('sign_in.button')} send=${() => signIn(body())}
      failed=${(/** @type {Result} */ result) => needsCode(body())(result)}
      secondary=${html`<button type="button" class="link" onClick=${resend}>${t('sign_in.code_resend')}</button>`}>
      <${Field} label=${t('field.mailed_code')} name="code" autocomplete="one-time-code" inputmode="numeric"
        value=${code} />
      ${again && html`<${Notice}>${again}<//>`}
    <//>
    <${Back} back=${back} />
  <//>`;
}

/** @param {{ email: string, back: () => void }} props */
function LinkSent({ email, back }) {
  return html`<${Card} level=${1} title=${t('sign_in.link_title')} lead=${t('sign_in.link_lead', { email })}>
    <p>${t('sign_in.link_here')}</p><${Back} back=${back} />
  <//>`;
}

/**
 * The second factor: repeats the first one together with it.
 * @param {{ body: Record<string, unknown>, back: () => void }} props
 */
export function SecondStep({ body, back }) {
  const code = useSignal('');
  const [recovery, setRecovery] = useState(false);
  const attempt = () => signIn({ ...body, mfa_code: code.value.trim() });
  const toggle = () => {
    code.value = '';
    setRecovery(!recovery);
  };
  return html`<${Card} level=${1} title=${t('mfa.step_title')}
    lead=${t(recovery ? 'mfa.step_recovery' : 'mfa.step_app')}>
    <${Form} key=${recovery} label=${t('sign_in.button')} send=${attempt}
      secondary=${html`<button type="button" class="link" onClick=${toggle}>
        ${t(recovery ? 'mfa.use_app' : 'mfa.use_recovery')}</button>`}>
      <${Field} label=${t(recovery ? 'field.recovery_code' : 'field.code')} name="mfa-code" autocomplete="one-time-code"
        inputmode=${recovery ? 'text' : 'numeric'} class=${recovery ? 'mono' : ''} value=${code} />
    <//>
    <${Back} back=${back} />
  <//>`;
}

/** @param {{ back: () => void }} props */
function Back({ back }) {
  return html`<p class="below"><button type="button" class="link" onClick=${back}>
    ${t('sign_in.other_way')}</button></p>`;
}

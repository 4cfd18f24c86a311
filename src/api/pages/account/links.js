// The landing pages of mailed links. Opening a link does not redeem it, because mail scanners open links too: the
// button does. Every link that does not work says why, and offers a new one.

import { Card, Field, Form, Frame, NewPasswordField } from '../base/components.js';
import { BASE, FACTS, PAGE } from '../base/facts.js';
import { send } from '../base/http.js';
import { useTitle } from '../base/page.js';
import { claimsOf, session, signIn } from '../base/session.js';
import { html, useSignal, useState } from '../base/view.js';
import { t } from '../base/words.js';
import { deviceSecret, forgetDeviceSecret } from './device_secret.js';
import { SecondStep } from './sign_in.js';

/** @typedef {import('../base/http.js').Result} Result */

/**
 * The token of the link that was opened. The device secret is never taken from an address: with a link that had both,
 * its sender could sign other people in to an account of the sender's.
 */
let token = '';

/** Takes the token out of the address bar and the history. */
export function takeLink() {
  if (PAGE === 'account') return;
  const here = new URL(location.href);
  history.replaceState(null, '', `${BASE}/links/${PAGE}`);
  const last = here.pathname.replace(/\/$/, '').split('/').pop() ?? '';
  const fragment = new URLSearchParams(here.hash.slice(1));
  // Some links have the token as the last path segment. Such a token is three parts separated by dots.
  const inPath = last.split('.').length === 3 ? last : '';
  token = here.searchParams.get('token') ?? fragment.get('token') ?? inPath;
}

const account = (route = '') => `${BASE}/account${route && `#/${route}`}`;

export function LinkPage() {
  const views = { magic: Magic, reset: Reset, confirm: Confirm };
  const View = views[/** @type {keyof typeof views} */ (PAGE)] ?? Confirm;
  useTitle(`link.${PAGE}_title`);
  if (!token) {
    return html`<${Frame}><${Card} level=${1} title=${t('link.incomplete')} lead=${t('link.incomplete_lead')}>
      <${NewLink} /><//><//>`;
  }
  return html`<${Frame}><${View} /><//>`;
}

/** The way to a new link of the same kind. */
function NewLink() {
  if (PAGE === 'reset') return html`<p><a class="button" href=${account('forgotten')}>${t('link.new_reset')}</a></p>`;
  if (PAGE === 'magic') return html`<p><a class="button" href=${account()}>${t('link.new_magic')}</a></p>`;
  return html`<p><a class="button" href=${account()}>${t('link.new_confirm')}</a></p>`;
}

/** @param {{ lead?: string }} props */
function Dead({ lead }) {
  return html`<${Card} level=${1} title=${t('link.dead')} lead=${lead ?? t('link.dead_lead')}><${NewLink} /><//>`;
}

/**
 * The link needs the secret of another device, or was requested by a program, which has shown or kept that secret.
 * @param {{ use: (secret: string) => void }} props
 */
function OtherDevice({ use }) {
  const secret = useSignal('');
  return html`<${Card} level=${1} title=${t('link.other_device')} lead=${t('link.other_device_lead')}>
    <ul><li>${t('link.other_device_there')}</li>
      <li>${t(PAGE === 'reset' ? 'link.other_device_reset' : 'link.other_device_code')}</li></ul>
    <${NewLink} />
    <details><summary>${t('link.have_secret')}</summary>
      <${Form} label=${t('link.use_secret')} send=${async () => { use(secret.value.trim()); return null; }}>
        <${Field} label=${t('field.device_secret')} help=${t('link.secret_help')} name="secret" class="mono"
          autocomplete="off" value=${secret} />
      <//>
    </details>
  <//>`;
}

function Magic() {
  const [secret, setSecret] = useState(deviceSecret('magic'));
  const [state, setState] = useState(/** @type {'ask' | 'mfa' | 'dead'} */ ('ask'));
  if (session.value === 'signed-in') {
    return html`<${Card} level=${1} title=${t('link.signed_in')} lead=${t('link.signed_in_lead')}>
      <p><a class="button" href=${account()}>${t('link.to_account')}</a></p><//>`;
  }
  if (!secret) return html`<${OtherDevice} use=${setSecret} />`;
  if (state === 'dead') return html`<${Dead} lead=${t('link.dead_magic')} />`;
  const body = { token, device_secret: secret };
  if (state === 'mfa') return html`<${SecondStep} body=${body} back=${() => location.assign(account())} />`;
  /** @param {Result} result */
  const failed = (result) => {
    if (result.type === 'mfa_required') setState('mfa');
    else if (result.type === 'invalid_link') setState('dead');
    else return false;
    return true;
  };
  return html`<${Card} level=${1} title=${t('link.magic_title')}
    lead=${t('link.magic_lead', { service: FACTS.service })}>
    <${Form} label=${t('sign_in.button')} send=${() => signIn(body)} failed=${failed}
      done=${() => forgetDeviceSecret('magic')} />
  <//>`;
}

/**
 * True if a reset token requires the device secret: a short token says so at its beginning, a signed one in its claims.
 * Only decides what is shown; the server checks.
 */
function needsSecret() {
  if (!token.includes('.')) return !token.startsWith('unbound-');
  return claimsOf(token).action?.needs_device_secret === true;
}

function Reset() {
  const needed = needsSecret();
  const [secret, setSecret] = useState(deviceSecret('reset'));
  const [state, setState] = useState(/** @type {'ask' | 'done' | 'dead'} */ ('ask'));
  const password = useSignal('');
  if (needed && !secret) return html`<${OtherDevice} use=${setSecret} />`;
  if (state === 'dead') return html`<${Dead} lead=${t('link.dead_reset')} />`;
  if (state === 'done') {
    return html`<${Card} level=${1} title=${t('link.reset_done')} lead=${t('link.reset_done_lead')}>
      <p><a class="button" href=${account()}>${t('sign_in.title')}</a></p><//>`;
  }
  const device = needed ? { device_secret: secret } : {};
  const reset = () =>
    send('POST', '/password-resets/redeem', { body: { token, ...device, new_password: password.value } });
  /** @param {Result} result */
  const failed = (result) => {
    if (result.type === 'invalid_link') setState('dead');
    return result.type === 'invalid_link';
  };
  const done = () => {
    forgetDeviceSecret('reset');
    setState('done');
  };
  return html`<${Card} level=${1} title=${t('link.reset_title')} lead=${t('link.reset_lead')}>
    <${Form} label=${t('link.reset_button')} send=${reset} failed=${failed} done=${done}>
      <${NewPasswordField} label=${t('field.new_password')} value=${password} />
    <//>
  <//>`;
}

function Confirm() {
  const [state, setState] = useState(/** @type {'ask' | 'confirmed' | 'already_confirmed' | 'dead'} */ ('ask'));
  if (state === 'dead') return html`<${Dead} lead=${t('link.dead_confirm')} />`;
  if (state !== 'ask') {
    return html`<${Card} level=${1} title=${t(state === 'confirmed' ? 'link.confirmed' : 'link.already_confirmed')}
      lead=${t('link.confirmed_lead')}><p><a class="button" href=${account()}>${t('link.to_account')}</a></p><//>`;
  }
  const confirm = () => send('POST', '/email-confirmations/redeem', { body: { token } });
  /** @param {Result} result */
  const failed = (result) => {
    const dead = ['invalid_link', 'not_found'].includes(result.type);
    if (dead) setState('dead');
    return dead;
  };
  return html`<${Card} level=${1} title=${t('link.confirm_title')} lead=${t('link.confirm_lead')}>
    <${Form} label=${t('link.confirm_button')} send=${confirm} failed=${failed}
      done=${(/** @type {Result} */ result) => setState(result.body.status)} />
  <//>`;
}

// Name, username and address.

import { ActionButton, Cancel, Card, Field, Form, Notice, PasswordField } from '../base/components.js';
import { call } from '../base/session.js';
import { html, useSignal, useState } from '../base/view.js';
import { t } from '../base/words.js';
import { change as changeAddress } from './recent_sign_in.js';
import { loadMe, me } from './me.js';

/** @typedef {import('./me.js').Me} Me */

export function Profile() {
  const user = /** @type {Me} */ (me.value);
  return html`<${Names} user=${user} /><${Address} user=${user} />`;
}

/** @param {{ user: Me }} props */
function Names({ user }) {
  const name = useSignal(user.full_name ?? '');
  const username = useSignal(user.username ?? '');
  const [saved, setSaved] = useState(false);
  const save = async () => {
    setSaved(false);
    /** @type {Record<string, string | null>} */
    const body = { full_name: name.value.trim() || null };
    if (username.value.trim() !== (user.username ?? '')) body.username = username.value.trim();
    const result = await call('PATCH', '/me', body);
    if (result.ok) await loadMe();
    return result;
  };
  return html`<${Card} level=${1} title=${t('nav.profile')}>
    <${Form} label=${t('profile.save')} send=${save} done=${() => setSaved(true)}>
      <${Field} label=${t('field.full_name')} name="name" autocomplete="name" autocapitalize="words" required=${false}
        maxlength="100" value=${name} />
      <${Field} label=${t('field.username')} name="username" autocomplete="username" required=${user.username !== null}
        value=${username} />
      ${saved && html`<${Notice} kind="good">${t('profile.saved')}<//>`}
    <//>
  <//>`;
}

/** @param {{ user: Me }} props */
function Address({ user }) {
  const email = useSignal('');
  const password = useSignal('');
  const [changing, setChanging] = useState(false);
  const [sentTo, setSentTo] = useState('');
  const [resent, setResent] = useState(false);
  const resend = async () => {
    const result = await call('POST', '/email-confirmations', {});
    setResent(result.ok);
    return result;
  };
  const change = () => {
    const current = user.has_password ? { current_password: password.value } : {};
    return changeAddress('POST', '/me/email', { email: email.value.trim(), ...current });
  };
  const done = () => {
    setSentTo(email.value.trim());
    setChanging(false);
    email.value = password.value = '';
    void loadMe();
  };
  const badge = user.email_verified
    ? html`<span class="badge good">${t('profile.verified')}</span>`
    : html`<span class="badge warn">${t('profile.unverified')}</span>`;
  return html`<${Card} title=${t('profile.email')}>
    <p><strong>${user.email}</strong> ${badge}</p>
    ${!user.email_verified && html`<p>${t('profile.confirm')}</p>
      <p><${ActionButton} act=${resend}>${t('profile.resend')}<//></p>`}
    ${resent && html`<${Notice} kind="good">${t('profile.resent', { email: user.email })}<//>`}
    ${sentTo && html`<${Notice} kind="good">${t('profile.change_sent', { email: sentTo })}<//>`}
    ${!changing && html`<p class="below"><button type="button" class="quiet" onClick=${() => setChanging(true)}>
      ${t('profile.change_email')}</button></p>`}
    ${changing && html`<${Form} label=${t('profile.change_email')} send=${change} done=${done}
      secondary=${html`<${Cancel} cancel=${() => setChanging(false)} />`}>
      <${Field} label=${t('field.new_email')} name="email" type="email" autocomplete="email" value=${email}
        help=${t('profile.change_help')} />
      ${user.has_password && html`<${PasswordField} label=${t('field.current_password')} value=${password} />`}
    <//>`}
  <//>`;
}

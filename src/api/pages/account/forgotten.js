// Asking for a new password.

import { Card, Field, Form } from '../base/components.js';
import { send } from '../base/http.js';
import { html, useSignal, useState } from '../base/view.js';
import { t } from '../base/words.js';
import { storeDeviceSecret } from './device_secret.js';

export function Forgotten() {
  const email = useSignal('');
  const [sent, setSent] = useState(false);
  const back = html`<p class="below"><a href="#/">${t('sign_in.title')}</a></p>`;
  if (sent) {
    return html`<${Card} level=${1} title=${t('reset.sent_title')}
      lead=${t('reset.sent_lead', { email: email.value.trim() })}><p>${t('sign_in.link_here')}</p>${back}<//>`;
  }
  const request = () => send('POST', '/password-resets', { body: { email: email.value.trim() } });
  return html`<${Card} level=${1} title=${t('reset.request_title')} lead=${t('reset.request_lead')}>
    <${Form} label=${t('reset.request_button')} send=${request} done=${(/** @type {any} */ result) => {
      storeDeviceSecret('reset', result.body.device_secret);
      setSent(true);
    }}>
      <${Field} label=${t('field.email')} name="email" type="email" autocomplete="username" value=${email} />
    <//>${back}<//>`;
}

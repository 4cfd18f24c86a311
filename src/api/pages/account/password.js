// Changing the password, or setting the first one.

import { Card, Form, NewPasswordField, Notice, PasswordField } from '../base/components.js';
import { html, useSignal, useState } from '../base/view.js';
import { t } from '../base/words.js';
import { setPassword } from './recent_sign_in.js';
import { loadMe, me } from './me.js';

export function PasswordChange() {
  const has = me.value?.has_password ?? true;
  const current = useSignal('');
  const next = useSignal('');
  const [saved, setSaved] = useState(false);
  const change = async () => {
    setSaved(false);
    const body = has ? { current_password: current.value, new_password: next.value } : { new_password: next.value };
    return setPassword(body);
  };
  const done = () => {
    current.value = next.value = '';
    setSaved(true);
    void loadMe();
  };
  return html`<${Card} level=${1} title=${t('field.password')} lead=${t(has ? 'password.lead' : 'password.none')}>
    <${Form} label=${t(has ? 'password.change' : 'password.set')} send=${change} done=${done}>
      <input type="text" name="username" autocomplete="username" value=${me.value?.email} readonly hidden />
      ${has && html`<${PasswordField} label=${t('field.current_password')} name="current-password" value=${current} />`}
      <${NewPasswordField} label=${t('field.new_password')} value=${next} />
      ${saved && html`<${Notice} kind="good">${t('password.changed')}<//>`}
    <//>
  <//>`;
}

// The export of the data that is stored about the user, and the deletion of the account.

import { ActionButton, Cancel, Card, Dialog, Field, Form, PasswordField } from '../base/components.js';
import { call, signOut } from '../base/session.js';
import { go } from '../base/route.js';
import { html, useSignal, useState } from '../base/view.js';
import { t } from '../base/words.js';
import { change } from './recent_sign_in.js';
import { download } from './download.js';
import { me } from './me.js';

export function OwnData() {
  const [deleting, setDeleting] = useState(false);
  const save = async () => {
    const result = await call('GET', '/me/export');
    if (result.ok) download('account.json', JSON.stringify(result.body, null, 2), 'application/json');
    return result;
  };
  return html`<${Card} level=${1} title=${t('data.export')} lead=${t('data.export_lead')}>
      <${ActionButton} act=${save}>${t('data.export_button')}<//>
    <//>
    <${Card} title=${t('data.delete')} lead=${t('data.delete_lead')}>
      <button type="button" class="quiet bad" onClick=${() => setDeleting(true)}>${t('data.delete')}</button>
      ${deleting && html`<${Deletion} close=${() => setDeleting(false)} />`}
    <//>`;
}

/** @param {{ close: () => void }} props */
function Deletion({ close }) {
  const typed = useSignal('');
  const password = useSignal('');
  const email = me.value?.email ?? '';
  const remove = async () => {
    if (typed.value.trim().toLowerCase() !== email.toLowerCase()) {
      return { ok: false, status: 0, body: null, type: 'other_email', retryAfter: 0 };
    }
    const result = await change('DELETE', '/me', me.value?.has_password ? { password: password.value } : {});
    if (result.ok) {
      go('deleted', { replace: true });
      await signOut();
    }
    return result;
  };
  return html`<${Dialog} title=${t('data.delete')} close=${close}>
    <p>${t('data.delete_sure')}</p>
    <${Form} label=${t('data.delete_button')} kind="bad" send=${remove}
      secondary=${html`<${Cancel} cancel=${close} />`}>
      <${Field} label=${t('data.type_email', { email })} name="confirm" autocomplete="off" value=${typed} />
      ${me.value?.has_password && html`<${PasswordField} label=${t('field.password')} value=${password} />`}
    <//>
  <//>`;
}

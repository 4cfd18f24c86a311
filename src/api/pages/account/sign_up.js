// Creating an account, where registration is open.

import { Card, Field, Form, NewPasswordField, Notice } from '../base/components.js';
import { FACTS } from '../base/facts.js';
import { send } from '../base/http.js';
import { go } from '../base/route.js';
import { signIn } from '../base/session.js';
import { html, useSignal, useState } from '../base/view.js';
import { t } from '../base/words.js';

export function SignUp() {
  const email = useSignal('');
  const name = useSignal('');
  const password = useSignal('');
  const [created, setCreated] = useState(false);
  if (!FACTS.registration) {
    return html`<${Card} level=${1} title=${t('sign_up.title')}><${Notice}>${t('error.registration_closed')}<//>
      <p class="below"><a href="#/">${t('sign_in.title')}</a></p><//>`;
  }
  if (created) {
    return html`<${Card} level=${1} title=${t('sign_up.created')}
      lead=${t('sign_up.confirm_first', { email: email.value })}>
      <p><a href="#/">${t('sign_in.title')}</a></p><//>`;
  }
  const create = async () => {
    const body = { email: email.value.trim(), password: password.value, full_name: name.value.trim() || undefined };
    const result = await send('POST', '/users', { body });
    if (!result.ok) return result;
    const signedIn = await signIn({ email: body.email, password: body.password });
    // Some services let people in only after they have confirmed their address.
    if (signedIn.type === 'email_not_verified') setCreated(true);
    else if (signedIn.ok) go('', { replace: true });
    return signedIn;
  };
  return html`<${Card} level=${1} title=${t('sign_up.title')}>
    <${Form} label=${t('sign_up.button')} send=${create}>
      <${Field} label=${t('field.email')} name="email" type="email" autocomplete="username" value=${email} />
      <${Field} label=${t('field.full_name_optional')} name="name" autocomplete="name" autocapitalize="words"
        required=${false} value=${name} />
      <${NewPasswordField} label=${t('field.password')} value=${password} />
    <//>
  <//>
  <p class="small">${t('sign_up.has_account')} <a href="#/">${t('sign_in.title')}</a></p>`;
}

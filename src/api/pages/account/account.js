// The account page: the forms for signing in and up, or the account of the user who is signed in.

import { Card, Failed, Frame, Loading, Nav, Notice, useLoad } from '../base/components.js';
import { PAGE } from '../base/facts.js';
import { useTitle } from '../base/page.js';
import { go, route } from '../base/route.js';
import { failure, restoreSession, session, signOut } from '../base/session.js';
import { effect, html, useEffect } from '../base/view.js';
import { t } from '../base/words.js';
import { Activity } from './activity.js';
import { ApiKeys } from './api_keys.js';
import { Forgotten } from './forgotten.js';
import { LinkPage } from './links.js';
import { loadMe, me } from './me.js';
import { OwnData } from './own_data.js';
import { PasswordChange } from './password.js';
import { Profile } from './profile.js';
import { SignInAgain } from './recent_sign_in.js';
import { SecondFactor } from './second_factor.js';
import { Sessions } from './sessions.js';
import { SignIn } from './sign_in.js';
import { SignUp } from './sign_up.js';

/** The views of a signed-in user. @type {Record<string, () => import('../base/view.js').View>} */
const VIEWS = {
  '': () => html`<${Profile} />`,
  security: () => html`<${PasswordChange} /><${SecondFactor} />`,
  sessions: () => html`<${Sessions} />`,
  'api-keys': () => html`<${ApiKeys} />`,
  activity: () => html`<${Activity} />`,
  data: () => html`<${OwnData} />`,
};

/** The views of everyone else. @type {Record<string, () => import('../base/view.js').View>} */
const SIGNED_OUT_VIEWS = {
  'sign-up': () => html`<${SignUp} />`,
  forgotten: () => html`<${Forgotten} />`,
};

// The user's data goes with their session.
effect(() => {
  if (session.value !== 'signed-in') me.value = null;
});

export function App() {
  return PAGE === 'account' ? html`<${AccountPage} />` : html`<${LinkPage} />`;
}

function AccountPage() {
  useEffect(() => {
    void restoreSession();
  }, []);
  switch (session.value) {
    case 'checking':
      return html`<${Frame}><${Loading} /><//>`;
    case 'signed-in':
      return html`<${SignedIn} />`;
    default:
      return html`<${SignedOut} />`;
  }
}

function SignedOut() {
  useTitle('title.account');
  const view = SIGNED_OUT_VIEWS[route.value] ?? (() => html`<${SignIn} />`);
  return html`<${Frame}>
    ${session.value === 'ended' && html`<${Notice} kind="warn">${t('session.ended')}<//>`}
    ${session.value === 'offline' && failure.value
      && html`<${Failed} result=${failure.value} retry=${restoreSession} />`}
    ${route.value === 'deleted' && html`<${Notice} kind="good">${t('data.deleted')}<//>`}
    ${view()}
  <//>`;
}

function SignedIn() {
  useTitle('title.account');
  const { result, again } = useLoad(loadMe);
  const current = route.value in VIEWS ? route.value : '';
  const nav = html`<${Nav} label=${t('nav.label')} current=${current} items=${[
    ['', t('nav.profile')], ['security', t('nav.security')], ['sessions', t('nav.sessions')],
    ['api-keys', t('nav.api_keys')], ['activity', t('nav.activity')], ['data', t('nav.data')],
  ]} />`;
  const leave = async () => {
    await signOut();
    go('', { replace: true });
  };
  const actions = html`<button type="button" class="quiet" onClick=${leave}>${t('session.sign_out')}</button>`;
  const view = VIEWS[current];
  return html`<${Frame} wide nav=${nav} actions=${actions}>
    ${!me.value && (result && !result.ok
      ? html`<${Card} level=${1} title=${t('title.account')}><${Failed} result=${result} retry=${again} /><//>`
      : html`<${Loading} />`)}
    ${me.value && html`<${Unconfirmed} key="unconfirmed" /><div class="views" key=${current}>${view?.()}</div>
      <${SignInAgain} key="again" />`}
  <//>`;
}

function Unconfirmed() {
  if (!me.value || me.value.email_verified || route.value === '') return null;
  return html`<${Notice} kind="warn"><p>${t('profile.unconfirmed')} <a href="#/">${t('nav.profile')}</a></p><//>`;
}

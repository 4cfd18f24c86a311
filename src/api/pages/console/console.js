// The frame of the console: the sign-in, the screens, and the problems of the server.

import { Card, Failed, Frame, Loading, Nav, Notice } from '../base/components.js';
import { useTitle } from '../base/page.js';
import { route } from '../base/route.js';
import { call, failure, restoreSession, session, signOut } from '../base/session.js';
import { html, signal, useEffect, useState } from '../base/view.js';
import { dateTime, hasText, t } from '../base/words.js';
import { overview, readOverview, signInAgain, storesDown } from './resource.js';
import { SignInDialog, SignInPage } from './sign_in.js';

/** @typedef {import('../base/http.js').Result} Result */

/** The time between two reads of the overview while the tab is visible: every screen shows the server's problems. */
const OVERVIEW_EVERY_MS = 5000;

/** @type {Record<string, () => Promise<any>>} */
const SCREENS = {
  '': () => import('./screens/overview.js'),
  users: () => import('./screens/users.js'),
  inspect: () => import('./screens/inspector.js'),
  keys: () => import('./screens/keys.js'),
  'api-keys': () => import('./screens/api_keys.js'),
  events: () => import('./screens/events.js'),
  mail: () => import('./screens/mail.js'),
  settings: () => import('./screens/settings.js'),
  'load-test': () => import('./screens/load_test.js'),
};

/** The caller, as `GET /me` answers. */
const me = signal(/** @type {Result | null} */ (null));

const readMe = async () => { me.value = await call('GET', '/me'); };

/** The whole page. */
export function Console() {
  const state = session.value;
  const name = screenName();
  useEffect(() => { useTitle(`nav.${name || 'overview'}`); });
  useEffect(() => {
    if (state === 'signed-in') void readMe();
    else if (state === 'signed-out') me.value = null;
  }, [state]);
  if (state === 'checking') return html`<${Frame}><${Loading} /><//>`;
  // Someone whose session has ended sees the screen as it was, and a dialog above it.
  if (state === 'signed-out' || (me.value === null && state === 'ended')) {
    return html`<${Frame}><${SignInPage} /><//>`;
  }
  const result = me.value;
  if (result === null) {
    return html`<${Frame}>${state === 'offline' && failure.value
      ? html`<${Failed} result=${failure.value} retry=${restoreSession} />` : html`<${Loading} />`}<//>`;
  }
  if (!result.ok) {
    return html`<${Frame} actions=${html`<${SignOutButton} />`}><${Card} level=${1} title=${t('console')}>
      <${Failed} result=${result} retry=${readMe} /><//><//>`;
  }
  if (!result.body.superuser) {
    return html`<${Frame} actions=${html`<${SignOutButton} />`}><${Card} level=${1} title=${t('refused.title')}>
      <p>${t('refused.lead', { email: result.body.email })}</p>
      <pre tabindex="0"><code>signet users update ${result.body.id} --superuser true</code></pre><//><//>`;
  }
  const items = Object.keys(SCREENS).map((each) => [each, t(`nav.${each || 'overview'}`)]);
  return html`<${Frame} wide=${true} nav=${html`<${Nav} label=${t('console')} current=${name} items=${items} />`}
      actions=${html`<span class="small">${result.body.email}</span> <${SignOutButton} />`}>
    <${Health} /><${Screen} key=${name} name=${name} />
    ${state === 'ended' && html`<${SignInDialog} reason=${t('enter.ended')} email=${result.body.email}
      done=${leaveUnlessSignedIn} />`}
    ${signInAgain.value && html`<${SignInDialog} reason=${t('enter.too_old')} email=${result.body.email}
      done=${signInAgain.value} />`}<//>`;
}

/**
 * Leaves the screen if the user did not sign in again after the session had ended.
 * @param {boolean} signedIn
 */
const leaveUnlessSignedIn = (signedIn) => {
  if (!signedIn && session.value === 'ended') session.value = 'signed-out';
};

/** @param {{ retry: () => void }} props */
const Offline = ({ retry }) => html`<${Notice} kind="bad"><p>${t('error.offline')}</p>
  <p><button type="button" class="quiet" onClick=${retry}>${t('state.retry')}</button></p><//>`;

const SignOutButton = () => html`
  <button type="button" class="quiet" onClick=${() => signOut()}>${t('enter.leave')}</button>`;

/** The screen that the route names; the overview for names that do not exist. */
function screenName() {
  const name = route.value.split('/')[0] ?? '';
  return name in SCREENS ? name : '';
}

/** @param {{ name: string }} props */
function Screen({ name }) {
  const [module, setModule] = useState(/** @type {any} */ (null));
  useEffect(() => {
    let alive = true;
    SCREENS[name]?.().then((loaded) => alive && setModule(loaded), () => alive && setModule({ missing: true }));
    return () => { alive = false; };
  }, [name]);
  if (module === null) return html`<${Loading} />`;
  const rest = route.value.split('/').slice(1).join('/');
  return module.missing ? html`<${Offline} retry=${() => location.reload()} />`
    : html`<${module.Screen} rest=${rest} />`;
}

/** The problems of the server, on every screen. */
function Health() {
  useEffect(() => {
    const read = () => { if (!document.hidden && session.value === 'signed-in') void readOverview(); };
    read();
    const timer = setInterval(read, OVERVIEW_EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  const { data, at, failure } = overview.value;
  const time = at ? dateTime(at) : '';
  return html`<div class="health">
    ${storesDown.value.map((/** @type {string} */ name) => html`<${Notice} kind="bad">
      <strong>${t('health.down', { store: storeName(name) })}</strong>
      ${' '}${t('health.read_only')} ${failure && time ? t('health.as_of', { time }) : ''}<//>`)}
    ${failure?.type === 'offline' && html`<${Notice} kind="bad">${t('error.offline')} ${t('health.read_only')}
      ${' '}${time ? t('health.as_of', { time }) : ''}<//>`}
    ${(data?.warnings ?? []).map((/** @type {string} */ text) => html`<div class="note warn">${text}</div>`)}
  </div>`;
}

/** @param {string} name */
export const storeName = (name) => (hasText(`store.${name}`) ? t(`store.${name}`) : name);

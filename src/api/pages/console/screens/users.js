// Users: search, filter, create; one of them below `#/users/{id}`.

import { Card, Field, Notice, Title } from '../../base/components.js';
import { go } from '../../base/route.js';
import { call } from '../../base/session.js';
import { html, useEffect, useSignal, useState } from '../../base/view.js';
import { t } from '../../base/words.js';
import { Badge, ChangeButton, Check, Choice, Empty, FormDialog, Table, Time } from '../parts.js';
import { change, Read, useResource } from '../resource.js';
import { User } from './user.js';

/** Typing is over after this time; then the server is asked. */
const TYPED_MS = 250;

/** @param {{ rest: string }} props */
export const Screen = ({ rest }) => (rest ? html`<${User} key=${rest} id=${rest} />` : html`<${Users} />`);

/** @param {Record<string, string>} parameters */
const pathOf = (parameters) => `/admin/users?${new URLSearchParams({ limit: '50', ...parameters })}`;

function Users() {
  const typed = useSignal('');
  const [query, setQuery] = useState('');
  const [status, setStatus] = useState('');
  const [creating, setCreating] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setQuery(typed.value.trim()), TYPED_MS);
    return () => clearTimeout(timer);
  }, [typed.value]);
  const filter = { ...(query ? { query } : {}), ...(status ? { status } : {}) };
  const path = pathOf(filter);
  const users = useResource(path);
  return html`<${Title}>${t('nav.users')}<//>
    <${Card} title=${t('users.find')}>
      <div class="filter">
        <${Field} label=${t('users.search')} name="query" type="search" required=${false} value=${typed} />
        <${Choice} label=${t('users.status')} value=${status} choose=${setStatus} options=${[['', t('users.all')],
          ['active', t('users.active')], ['disabled', t('users.disabled')], ['unverified', t('users.unverified')]]} />
        <${ChangeButton} kind="" press=${() => setCreating(true)}>${t('users.create')}<//></div>
      <${Read} of=${users}>${(/** @type {any} */ first) => html`
        <${List} key=${path} first=${first} filter=${filter} />`}<//>
    <//>
    ${creating && html`<${Create} close=${() => setCreating(false)} />`}`;
}

/** @param {{ first: any, filter: Record<string, string> }} props */
function List({ first, filter }) {
  const [more, setMore] = useState(/** @type {any[]} */ ([]));
  const [failed, setFailed] = useState(false);
  const pages = [first, ...more];
  const cursor = pages[pages.length - 1].next_cursor;
  const users = pages.flatMap((page) => page.users);
  const next = async () => {
    const result = await call('GET', pathOf({ ...filter, cursor }));
    setFailed(!result.ok);
    if (result.ok) setMore([...more, result.body]);
  };
  if (users.length === 0 && !cursor) {
    return Object.keys(filter).length > 0 ? html`<${Empty} text=${t('users.none_found')} />`
      : html`<${Empty} text=${t('users.none')}
        command="signet users create --email you@example.org --password-stdin" />`;
  }
  const head = [t('users.user'), t('users.status'), t('users.roles'), t('users.created')];
  return html`${users.length === 0 ? html`<${Empty} text=${t('users.none_yet')} />` : html`
    <${Table} label=${t('nav.users')} head=${head}>
      ${users.map((user) => html`<tr key=${user.id}><td><a href=${`#/users/${user.id}`}>${user.email}</a>
        <div class="small">${[user.username, user.full_name].filter(Boolean).join(' · ')}</div></td>
        <td><${Status} of=${user} /></td><td>${(user.roles ?? []).join(', ')}</td>
        <td><${Time} at=${user.created_at} /></td>
      </tr>`)}<//>`}
    ${failed && html`<${Notice} kind="bad">${t('error.unavailable')}<//>`}
    ${cursor && html`<p><button type="button" class="quiet" onClick=${next}>${t('action.more')}</button></p>`}`;
}

/** @param {{ of: any }} props */
export const Status = ({ of }) => html`<span class="badges">
  ${of.disabled && html`<${Badge} tone="bad">${t('users.disabled')}<//>`}
  ${!of.email_verified && html`<${Badge} tone="warn">${t('users.unverified')}<//>`}
  ${of.superuser && html`<${Badge} tone="good">${t('users.superuser')}<//>`}
  ${of.mfa?.enabled && html`<${Badge}>${t('users.mfa')}<//>`}</span>`;

/** @param {{ close: () => void }} props */
function Create({ close }) {
  const [email, name, password] = [useSignal(''), useSignal(''), useSignal('')];
  const [superuser, verified] = [useSignal(false), useSignal(false)];
  const send = () => change('POST', '/admin/users', {
    email: email.value.trim(), superuser: superuser.value, verified: verified.value,
    ...(name.value.trim() ? { full_name: name.value.trim() } : {}),
    ...(password.value ? { password: password.value } : {}),
  });
  return html`<${FormDialog} title=${t('users.create')} label=${t('users.create')} send=${send} close=${close}
    done=${(/** @type {any} */ result) => go(`users/${result.body.id}`)}>
    <${Field} label=${t('users.email')} name="email" inputmode="email" value=${email} autocomplete="off" />
    <${Field} label=${t('users.full_name')} name="full_name" value=${name} required=${false} autocomplete="off" />
    <${Field} label=${t('users.password')} name="password" type="password" value=${password} required=${false}
      autocomplete="new-password" help=${t('users.password_help')} />
    <${Check} label=${t('users.is_verified')} value=${verified} />
    <${Check} label=${t('users.is_superuser')} value=${superuser} /><//>`;
}

// One user: the account, its sessions and API keys, and the changes that an administrator can make.

import { Card, Device, Field, Notice, Title } from '../../base/components.js';
import { device } from '../../base/device.js';
import { go } from '../../base/route.js';
import { html, useSignal, useState } from '../../base/view.js';
import { t } from '../../base/words.js';
import { milliseconds } from '../format.js';
import { Area, Badge, ChangeButton, Check, Confirm, Empty, FormDialog, Table, Time } from '../parts.js';
import { change, Read, useResource } from '../resource.js';
import { Status } from './users.js';

/** @typedef {import('../../base/http.js').Result} Result */

/** @param {{ id: string }} props */
export function User({ id }) {
  const path = `/admin/users/${encodeURIComponent(id)}`;
  const user = useResource(path);
  const sessions = useResource(`${path}/sessions`);
  const [done, setDone] = useState(/** @type {any} */ (null));
  const reload = () => { user.reload(); sessions.reload(); };
  return html`<p class="back"><a href="#/users">${t('nav.users')}</a></p>
    <${Read} of=${user}>${(/** @type {any} */ data) => html`<${Title}>${data.email}<//>
      ${done && html`<${Notice} kind="good">${done}<//>`}
      <${Facts} user=${data} /><${Actions} user=${data} path=${path} reload=${reload} setDone=${setDone} />
      <${Card} title=${t('user.sessions')}><${Read} of=${sessions}>${(/** @type {any} */ body) => html`
        <${Sessions} path=${path} sessions=${body.sessions} reload=${reload} />`}<//><//>
      <${Keys} user=${data} reload=${reload} />`}<//>`;
}

/** @param {{ user: any }} props */
const Facts = ({ user }) => html`<${Card} title=${t('user.account')}><dl class="pairs">
  <dt>${t('users.status')}</dt><dd>${!user.disabled && user.email_verified && `${t('users.active')} `}
    <${Status} of=${user} /></dd>
  <dt>ID</dt><dd><code>${user.id}</code></dd>
  <dt>${t('users.username')}</dt><dd>${user.username ?? '–'}</dd>
  <dt>${t('users.full_name')}</dt><dd>${user.full_name ?? '–'}</dd>
  <dt>${t('users.roles')}</dt><dd>${(user.roles ?? []).join(', ') || '–'}</dd>
  <dt>${t('users.password')}</dt><dd>${user.has_password ? t('user.has') : t('user.has_not')}</dd>
  <dt>${t('users.mfa')}</dt><dd>${user.mfa?.enabled ? t('user.mfa_on', { count: user.mfa.recovery_codes_left ?? 0 })
    : t('user.has_not')}</dd>
  <dt>${t('users.created')}</dt><dd><${Time} at=${user.created_at} /></dd>
  <dt>${t('nav.events')}</dt><dd><a href=${`#/events/${user.id}`}>${t('user.events')}</a></dd>
  ${Object.keys(user.claims ?? {}).length > 0 && html`<dt>${t('user.claims')}</dt>
    <dd><pre tabindex="0"><code>${JSON.stringify(user.claims, null, 2)}</code></pre></dd>`}</dl><//>`;

/** @param {{ user: any, path: string, reload: () => void, setDone: (text: any) => void }} props */
function Actions({ user, path, reload, setDone }) {
  const [open, setOpen] = useState('');
  const close = () => setOpen('');
  const finish = (/** @type {any} */ text) => () => { close(); setDone(text); reload(); };
  const ask = (
    /** @type {string} */ name, /** @type {() => Promise<Result>} */ send, /** @type {any} */ done, more = {},
  ) =>
    open === name && html`<${Confirm} title=${t(`user.${name}`)} label=${t(`user.${name}`)} send=${send} close=${close}
      text=${t(`user.${name}_text`, { email: user.email })} done=${done} ...${more} />`;
  const disable = user.disabled ? 'enable' : 'disable';
  return html`<div class="row">
      ${['edit', 'sign_out', 'reset_mfa', 'send_reset', disable, 'delete'].map((name) => html`<${ChangeButton}
        key=${name} kind=${name === 'delete' ? 'quiet bad' : 'quiet'}
        disabled=${name === 'reset_mfa' && !user.mfa?.enabled}
        press=${() => setOpen(name)}>${t(`user.${name}`)}<//>`)}</div>
    ${ask('sign_out', () => change('POST', `${path}/sign-out`), (/** @type {Result} */ result) =>
    finish(html`<${SignedOut} body=${result.body} />`)())}
    ${ask('reset_mfa', () => change('POST', `${path}/reset-mfa`), finish(t('user.reset_mfa_done')))}
    ${ask('send_reset', () => change('POST', `${path}/password-reset`), finish(t('user.send_reset_done')))}
    ${ask(disable, () => change('PATCH', path, { disabled: !user.disabled }), finish(t(`user.${disable}_done`)))}
    ${ask('delete', () => change('DELETE', path), () => go('users', { replace: true }),
    { typed: user.username ?? user.email })}
    ${open === 'edit' && html`<${Edit} user=${user} path=${path} close=${close}
      done=${finish(t('user.edit_done'))} />`}`;
}

/** The number of ended sessions, and the time after which each node knew it. @param {{ body: any }} props */
const SignedOut = ({ body }) => html`<p>${t('user.sign_out_done', { count: body.ended })}</p>
  <ul>${(body.nodes ?? []).map((/** @type {any} */ node) => html`<li><code>${node.node}</code>${': '}
    ${typeof node.acknowledged_ms === 'number' ? milliseconds(node.acknowledged_ms)
    : t('user.no_acknowledgement')}</li>`)}</ul>`;

/** @param {{ user: any, path: string, close: () => void, done: () => void }} props */
function Edit({ user, path, close, done }) {
  const name = useSignal(user.full_name ?? '');
  const roles = useSignal((user.roles ?? []).join(', '));
  const claims = useSignal(JSON.stringify(user.claims ?? {}, null, 2));
  const [superuser, verified] = [useSignal(user.superuser), useSignal(user.email_verified)];
  const send = async () => {
    /** @type {any} */
    let parsed;
    try {
      parsed = JSON.parse(claims.value || '{}');
    } catch {
      return { ok: false, status: 400, body: null, type: 'claims_not_json', retryAfter: 0 };
    }
    /** @type {[string, any, any][]} */
    const fields = [['full_name', name.value.trim() || null, user.full_name ?? null],
      ['roles', roles.value.split(',').map((/** @type {string} */ role) => role.trim()).filter(Boolean),
        user.roles ?? []],
      ['claims', parsed, user.claims ?? {}], ['superuser', superuser.value, user.superuser],
      ['email_verified', verified.value, user.email_verified]];
    const changed = fields.filter(([, value, old]) => JSON.stringify(value) !== JSON.stringify(old));
    // Only the address on this page may be verified. The user may have changed it since.
    if (verified.value && !user.email_verified) changed.push(['email', user.email, user.email]);
    return change('PATCH', path, Object.fromEntries(changed.map(([field, value]) => [field, value])));
  };
  return html`<${FormDialog} title=${t('user.edit')} label=${t('action.save')} send=${send} close=${close} done=${done}>
    <${Field} label=${t('users.full_name')} name="full_name" value=${name} required=${false} autocomplete="off" />
    <${Field} label=${t('users.roles')} name="roles" value=${roles} required=${false} help=${t('user.roles_help')} />
    <${Area} label=${t('user.claims')} value=${claims} />
    <${Check} label=${t('users.is_verified')} value=${verified} />
    <${Check} label=${t('users.is_superuser')} value=${superuser} /><//>`;
}

/** @param {{ path: string, sessions: any[], reload: () => void }} props */
function Sessions({ path, sessions, reload }) {
  const [ending, setEnding] = useState('');
  if (sessions.length === 0) return html`<${Empty} text=${t('user.no_sessions')} />`;
  return html`<${Table} label=${t('user.sessions')}
      head=${[t('user.agent'), t('user.address'), t('user.opened'), t('user.used'), t('actions')]}>
      ${sessions.map((session) => html`<tr key=${session.id}><td><${Device} of=${session.agent} />
        <div class="small">${session.dialect}</div></td><td>${session.address || '–'}</td>
        <td><${Time} at=${session.created_at} /></td><td><${Time} at=${session.last_used_at} /></td>
        <td><${ChangeButton} press=${() => setEnding(session.id)}
          label=${t('user.end_label', { agent: device(session.agent) || session.id })}>
          ${t('user.end')}<//></td></tr>`)}<//>
    ${ending && html`<${Confirm} title=${t('user.end')} label=${t('user.end')} text=${t('user.end_text')}
      send=${() => change('DELETE', `${path}/sessions/${ending}`)} close=${() => setEnding('')}
      done=${() => { setEnding(''); reload(); }} />`}`;
}

/** @param {{ user: any, reload: () => void }} props */
function Keys({ user, reload }) {
  const [revoking, setRevoking] = useState(/** @type {any} */ (null));
  const keys = user.api_keys ?? [];
  const command = `signet api-keys create --user ${user.email} --name NAME`;
  return html`<${Card} title=${t('nav.api-keys')}>
    ${keys.length === 0 ? html`<${Empty} text=${t('user.no_keys')} command=${command} />` : html`<${Table}
      label=${t('nav.api-keys')}
      head=${[t('keys.name'), t('keys.scopes'), t('keys.used'), t('users.created'), t('actions')]}>
      ${keys.map((/** @type {any} */ key) => html`<tr key=${key.id}>
        <td>${key.name}<div class="small"><code>${key.prefix}</code></div></td><td>${(key.scopes ?? []).join(' ')}</td>
        <td><${Time} at=${key.last_used_at} /></td><td><${Time} at=${key.created_at} /></td>
        <td><${Deactivate} of=${key} press=${() => setRevoking(key)} /></td></tr>`)}<//>`}
    ${revoking && html`<${RevokeKey} of=${revoking} close=${() => setRevoking(null)} done=${reload} />`}<//>`;
}

/** @param {{ of: any, press: () => void }} props */
export const Deactivate = ({ of, press }) => (of.active === false ? html`<${Badge} tone="bad">${t('keys.inactive')}<//>`
  : html`<${ChangeButton} press=${press} label=${t('keys.revoke_label', { name: of.name })}>${t('keys.revoke')}<//>`);

/** @param {{ of: any, close: () => void, done: () => void }} props */
export const RevokeKey = ({ of, close, done }) => html`<${Confirm} title=${t('keys.revoke')} label=${t('keys.revoke')}
  text=${t('keys.revoke_text', { name: of.name })}
  send=${() => change('DELETE', `/admin/api-keys/${of.id}`)} close=${close}
  done=${() => { close(); done(); }} />`;

// All API keys, by last use.

import { Card, Notice, Title } from '../../base/components.js';
import { call } from '../../base/session.js';
import { html, useState } from '../../base/view.js';
import { t } from '../../base/words.js';
import { Empty, Table, Time } from '../parts.js';
import { Read, useResource } from '../resource.js';
import { Deactivate, RevokeKey } from './user.js';

const PATH = '/admin/api-keys?sort=last_used&limit=50';

/** The screen. */
export function Screen() {
  const keys = useResource(PATH);
  return html`<${Title}>${t('nav.api-keys')}<//><${Card} title=${t('keys.by_use')}>
    <${Read} of=${keys}>${(/** @type {any} */ first) => html`
      <${List} first=${first} reload=${keys.reload} />`}<//><//>`;
}

/** @param {{ first: any, reload: () => void }} props */
function List({ first, reload }) {
  const [more, setMore] = useState(/** @type {any[]} */ ([]));
  const [failed, setFailed] = useState(false);
  const [revoking, setRevoking] = useState(/** @type {any} */ (null));
  const pages = [first, ...more];
  const cursor = pages[pages.length - 1].next_cursor;
  const keys = pages.flatMap((page) => page.api_keys);
  const next = async () => {
    const result = await call('GET', `${PATH}&cursor=${encodeURIComponent(cursor)}`);
    setFailed(!result.ok);
    if (result.ok) setMore([...more, result.body]);
  };
  if (keys.length === 0) {
    return html`<${Empty} text=${t('keys.none')}
      command="signet api-keys create --user you@example.org --name NAME" />`;
  }
  return html`<${Table} label=${t('nav.api-keys')} head=${[t('keys.name'), t('keys.owner'), t('keys.scopes'),
      t('keys.used'), t('users.created'), t('actions')]}>
      ${keys.map((key) => html`<tr key=${key.id}><td>${key.name}<div class="small"><code>${key.prefix}</code></div></td>
        <td>${key.owner && html`<a href=${`#/users/${key.owner.id}`}>${key.owner.email ?? key.owner.id}</a>`}</td>
        <td>${(key.scopes ?? []).join(' ')}</td>
        <td>${key.last_used_at ? html`<${Time} at=${key.last_used_at} />` : t('keys.never')}</td>
        <td><${Time} at=${key.created_at} /></td>
        <td><${Deactivate} of=${key} press=${() => setRevoking(key)} /></td></tr>`)}<//>
    ${failed && html`<${Notice} kind="bad">${t('error.unavailable')}<//>`}
    ${cursor && html`<p><button type="button" class="quiet" onClick=${next}>${t('action.more')}</button></p>`}
    ${revoking && html`<${RevokeKey} of=${revoking} close=${() => setRevoking(null)}
      done=${() => { setMore([]); reload(); }} />`}`;
}

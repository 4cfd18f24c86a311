// API keys of the personal project.

import { ActionButton, Cancel, Card, CopyField, Field, Form, Loaded, Notice, Time } from '../base/components.js';
import { call } from '../base/session.js';
import { html, useSignal, useState } from '../base/view.js';
import { t } from '../base/words.js';
import { change } from './again.js';

const PATH = '/projects/personal/api-keys';

/**
 * @typedef {{ id: string, name: string, prefix: string, scopes: string[], expires_at: string | null,
 *   last_used_at: string | null, active: boolean }} ApiKey
 */

export function ApiKeys() {
  const [key, setKey] = useState('');
  return html`<${Card} level=${1} title=${t('nav.api_keys')} lead=${t('keys.lead')}>
    <${Loaded} load=${() => call('GET', PATH)}>
      ${(/** @type {{ api_keys: ApiKey[] }} */ body, /** @type {() => Promise<void>} */ again) => html`
        <${List} keys=${body.api_keys.filter((each) => each.active)} again=${again} />
        ${key && html`<${Notice} kind="good"><p>${t('keys.created')}</p>
          <${CopyField} label=${t('keys.key')} text=${key} /><//>`}
        <${Creation} created=${async (/** @type {string} */ made) => { setKey(made); await again(); }} />`}
    <//>
  <//>`;
}

/** @param {{ keys: ApiKey[], again: () => Promise<void> }} props */
function List({ keys, again }) {
  if (!keys.length) return html`<p>${t('keys.empty')}</p>`;
  /** @param {ApiKey} key */
  const remove = (key) => async () => {
    const result = await call('DELETE', `${PATH}/${key.id}`);
    if (!result.ok && result.type !== 'not_found') return result;
    await again();
    return null;
  };
  return html`<ul class="list">${keys.map((key) => html`<li key=${key.id}>
    <div class="what">
      <p><strong>${key.name}</strong> <code>${key.prefix}…</code></p>
      <p class="small">${t('keys.scopes')} ${key.scopes.length ? key.scopes.join(' ') : t('keys.no_scopes')}${' · '}
        ${key.last_used_at ? html`${t('sessions.used')} <${Time} at=${key.last_used_at} />` : t('keys.never_used')}
        ${' · '}
        ${key.expires_at ? html`${t('keys.expires')} <${Time} at=${key.expires_at} />` : t('keys.no_expiry')}</p>
    </div>
    <${ActionButton} kind="quiet bad" act=${remove(key)} label=${t('keys.delete_of', { name: key.name })}>
      ${t('keys.delete')}<//>
  </li>`)}</ul>`;
}

/** @param {{ created: (key: string) => Promise<void> }} props */
function Creation({ created }) {
  const [open, setOpen] = useState(false);
  const name = useSignal('');
  const scopes = useSignal('');
  const days = useSignal('');
  if (!open) {
    return html`<p class="below"><button type="button" onClick=${() => setOpen(true)}>${t('keys.create')}</button></p>`;
  }
  const create = () => {
    const expiry = days.value ? { expires_in_days: Number(days.value) } : {};
    const chosen = scopes.value.split(/\s+/).filter(Boolean);
    return change('POST', PATH, { name: name.value.trim(), scopes: chosen, ...expiry });
  };
  const done = async (/** @type {import('../base/http.js').Result} */ result) => {
    setOpen(false);
    name.value = scopes.value = days.value = '';
    await created(result.body.key);
  };
  return html`<hr /><h2>${t('keys.create')}</h2><${Form} label=${t('keys.create')} send=${create} done=${done}
    secondary=${html`<${Cancel} cancel=${() => setOpen(false)} />`}>
    <${Field} label=${t('keys.name')} name="name" maxlength="100" autocomplete="off" value=${name} />
    <${Field} label=${t('keys.scopes_field')} help=${t('keys.scopes_help')} name="scopes" autocomplete="off"
      required=${false} value=${scopes} />
    <${Field} label=${t('keys.days')} help=${t('keys.days_help')} name="days" type="number" min="1" max="3650"
      required=${false} value=${days} />
  <//>`;
}

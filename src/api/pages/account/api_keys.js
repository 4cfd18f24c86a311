// The API keys of the user's projects. Most people have one project, the personal one, and see no projects at all.

import { ActionButton, Cancel, Card, CopyField, Field, Form, Loaded, Notice, Time } from '../base/components.js';
import { call } from '../base/session.js';
import { html, useId, useSignal, useState } from '../base/view.js';
import { t } from '../base/words.js';
import { change } from './recent_sign_in.js';

/** The most keys that one request lists. */
const PAGE = 100;

/** @typedef {import('../base/http.js').Result} Result */

/**
 * @typedef {{ id: string, name: string, prefix: string, scopes: string[], expires_at: string | null,
 *   last_used_at: string | null, active: boolean }} ApiKey
 */

/** @typedef {{ id: string, name: string, keys: ApiKey[] }} Project */

/** @param {string} project */
const pathOf = (project) => `/projects/${encodeURIComponent(project)}/api-keys`;

/**
 * The keys of a project that are active: a page of old, inactive ones may come before them.
 * @param {string} project
 * @returns {Promise<{ failed: Result } | { keys: ApiKey[] }>}
 */
async function keysOf(project) {
  /** @type {ApiKey[]} */
  const keys = [];
  for (let skip = 0; ; skip += PAGE) {
    const result = await call('GET', `${pathOf(project)}?skip=${skip}&limit=${PAGE}`);
    if (!result.ok) return { failed: result };
    keys.push(...result.body.api_keys.filter((/** @type {ApiKey} */ key) => key.active));
    if (skip + PAGE >= result.body.total) return { keys };
  }
}

/**
 * The projects, each with its keys. The personal one is first.
 * @returns {Promise<Result>}
 */
async function load() {
  const result = await call('GET', '/projects');
  if (!result.ok) return result;
  /** @type {Project[]} */
  const projects = [];
  for (const { id, name } of result.body.projects) {
    const listed = await keysOf(id);
    if ('failed' in listed) return listed.failed;
    projects.push({ id, name, keys: listed.keys });
  }
  return { ...result, body: projects };
}

export function ApiKeys() {
  const [key, setKey] = useState('');
  return html`<${Card} level=${1} title=${t('nav.api_keys')} lead=${t('keys.lead')}>
    <${Loaded} load=${load}>
      ${(/** @type {Project[]} */ projects, /** @type {() => Promise<void>} */ again) => html`
        ${projects.length === 1 ? html`<${List} project=${projects[0]} again=${again} />`
          : projects.map((project) => html`<section key=${project.id}>
            <h2>${t('keys.of_project', { name: project.name })}</h2><${List} project=${project} again=${again} />
          </section>`)}
        ${key && html`<${Notice} kind="good"><p>${t('keys.created')}</p>
          <${CopyField} label=${t('keys.key')} text=${key} /><//>`}
        <${Creation} projects=${projects}
          created=${async (/** @type {string} */ made) => { setKey(made); await again(); }} />`}
    <//>
  <//>`;
}

/** @param {{ project: Project, again: () => Promise<void> }} props */
function List({ project, again }) {
  const { id, keys } = project;
  if (!keys.length) return html`<p>${t('keys.empty')}</p>`;
  /** @param {ApiKey} key */
  const remove = (key) => async () => {
    const result = await call('DELETE', `${pathOf(id)}/${key.id}`);
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

/** @param {{ projects: Project[], created: (key: string) => Promise<void> }} props */
function Creation({ projects, created }) {
  const [open, setOpen] = useState(false);
  const project = useSignal(projects[0]?.id ?? 'personal');
  const name = useSignal('');
  const scopes = useSignal('');
  const days = useSignal('');
  if (!open) {
    return html`<p class="below"><button type="button" onClick=${() => setOpen(true)}>${t('keys.create')}</button></p>`;
  }
  const create = () => {
    const expiry = days.value ? { expires_in_days: Number(days.value) } : {};
    const chosen = scopes.value.split(/\s+/).filter(Boolean);
    return change('POST', pathOf(project.value), { name: name.value.trim(), scopes: chosen, ...expiry });
  };
  const done = async (/** @type {Result} */ result) => {
    setOpen(false);
    name.value = scopes.value = days.value = '';
    await created(result.body.key);
  };
  return html`<hr /><h2>${t('keys.create')}</h2><${Form} label=${t('keys.create')} send=${create} done=${done}
    secondary=${html`<${Cancel} cancel=${() => setOpen(false)} />`}>
    ${projects.length > 1 && html`<${Choice} projects=${projects} chosen=${project} />`}
    <${Field} label=${t('keys.name')} name="name" maxlength="100" autocomplete="off" value=${name} />
    <${Field} label=${t('keys.scopes_field')} help=${t('keys.scopes_help')} name="scopes" autocomplete="off"
      required=${false} value=${scopes} />
    <${Field} label=${t('keys.days')} help=${t('keys.days_help')} name="days" type="number" min="1" max="36500"
      required=${false} value=${days} />
  <//>`;
}

/** @param {{ projects: Project[], chosen: import('../vendor/signals.js').Signal<string> }} props */
function Choice({ projects, chosen }) {
  const id = useId();
  return html`<div class="field"><label for=${id}>${t('keys.project')}</label>
    <select id=${id} value=${chosen.value}
      onChange=${(/** @type {any} */ event) => { chosen.value = event.target.value; }}>
      ${projects.map((each) => html`<option value=${each.id} selected=${each.id === chosen.value}>
        ${each.name}</option>`)}
    </select></div>`;
}

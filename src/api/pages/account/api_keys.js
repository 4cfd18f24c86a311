// The API keys of the user's projects. Most people have one project, the personal one, and see no projects at all.

import {
  ActionButton, Cancel, Card, CopyField, Failed, Field, Form, Loaded, Loading, Notice, Time,
} from '../base/components.js';
import { call } from '../base/session.js';
import { html, useEffect, useId, useRef, useSignal, useState } from '../base/view.js';
import { t } from '../base/words.js';
import { change } from './recent_sign_in.js';

/** The most keys that one request lists. */
const PAGE = 100;

/** @typedef {import('../base/http.js').Result} Result */

/**
 * @typedef {{ id: string, name: string, prefix: string, scopes: string[], expires_at: string | null,
 *   last_used_at: string | null, active: boolean }} ApiKey
 */

/** @typedef {{ id: string, name: string }} Project */

/** @param {string} project */
const pathOf = (project) => `/projects/${encodeURIComponent(project)}/api-keys`;

/**
 * The keys of a project that are active: a page of old, inactive ones may come before them.
 * @param {string} project
 * @returns {Promise<Result>}
 */
async function keysOf(project) {
  /** @type {ApiKey[]} */
  const keys = [];
  for (let skip = 0; ; skip += PAGE) {
    const result = await call('GET', `${pathOf(project)}?skip=${skip}&limit=${PAGE}`);
    if (!result.ok) return result;
    keys.push(...result.body.api_keys.filter((/** @type {ApiKey} */ key) => key.active));
    if (skip + PAGE >= result.body.total) return { ...result, body: keys };
  }
}

export function ApiKeys() {
  return html`<${Card} level=${1} title=${t('nav.api_keys')} lead=${t('keys.lead')}>
    <${Loaded} load=${() => call('GET', '/projects')}>
      ${(/** @type {{ projects: Project[] }} */ body) => html`<${Projects} projects=${body.projects} />`}
    <//>
  <//>`;
}

/**
 * The projects, each with its keys. The personal one is first. A change lists only the keys of its project again,
 * because the server limits how often keys are listed.
 * @param {{ projects: Project[] }} props
 */
function Projects({ projects }) {
  const [key, setKey] = useState('');
  // By project; null or absent if they are not known.
  const keys = useSignal(/** @type {Record<string, ApiKey[] | null>} */ ({}));
  const failure = useSignal(/** @type {Result | null} */ (null));
  const alive = useRef(true);
  const missing = projects.filter(({ id }) => !keys.value[id]);
  const list = async (/** @type {string} */ project) => {
    const result = await keysOf(project);
    if (!result.ok) failure.value = result;
    // After a change, the old list would be wrong.
    keys.value = { ...keys.value, [project]: result.ok ? result.body : null };
    return result.ok;
  };
  // One after the other, and none after a failure: beyond the limit, the others would fail too.
  const listMissing = async () => {
    failure.value = null;
    for (const { id } of missing) {
      if (!alive.current || !await list(id)) return;
    }
  };
  useEffect(() => {
    void listMissing();
    return () => { alive.current = false; };
  }, []);
  const created = async (/** @type {string} */ project, /** @type {string} */ made) => {
    setKey(made);
    await list(project);
  };
  return html`
    ${projects.map(({ id, name }) => keys.value[id] && html`<section key=${id}>
      ${projects.length > 1 && html`<h2>${t('keys.of_project', { name })}</h2>`}
      <${List} project=${id} keys=${keys.value[id]} changed=${() => list(id)} />
    </section>`)}
    ${missing.length > 0 && (failure.value
      ? html`<${NotListed} all=${projects} missing=${missing} result=${failure.value} retry=${listMissing} />`
      : html`<${Loading} />`)}
    ${key && html`<${Notice} kind="good"><p>${t('keys.created')}</p>
      <${CopyField} label=${t('keys.key')} text=${key} /><//>`}
    <${Creation} projects=${projects} created=${created} />`;
}

/** @param {{ all: Project[], missing: Project[], result: Result, retry: () => Promise<void> }} props */
function NotListed({ all, missing, result, retry }) {
  const names = missing.map(({ name }) => name).join(', ');
  return html`${all.length > 1 && html`<p>${t('keys.not_listed', { names })}</p>`}
    <${Failed} result=${result} retry=${retry} />`;
}

/** @param {{ project: string, keys: ApiKey[], changed: () => Promise<unknown> }} props */
function List({ project, keys, changed }) {
  if (!keys.length) return html`<p>${t('keys.empty')}</p>`;
  /** @param {ApiKey} key */
  const remove = (key) => async () => {
    const result = await call('DELETE', `${pathOf(project)}/${key.id}`);
    if (!result.ok && result.type !== 'not_found') return result;
    await changed();
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

/** @param {{ projects: Project[], created: (project: string, key: string) => Promise<void> }} props */
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
    await created(project.value, result.body.key);
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

// Security events, newest first: filtered, and followed live. One user's below `#/events/{user}`.

import { Card, Device, Failed, Title } from '../../base/components.js';
import { call } from '../../base/session.js';
import { html, useEffect, useState } from '../../base/view.js';
import { t } from '../../base/words.js';
import { Badge, Choice, Empty, Table, Time } from '../parts.js';
import { Read, useResource } from '../resource.js';
import { withNewer, withOlder } from './event_list.js';

/** @typedef {import('../../base/http.js').Result} Result */

/** The subjects of events: the part of their types before the dot (docs/audit.md). */
const SUBJECTS = ['sign_in', 'reauthentication', 'refresh', 'limit', 'sessions', 'user', 'users', 'everyone', 'token',
  'superuser', 'password', 'email', 'credentials', 'mfa', 'api_key', 'signing_key', 'mail'];

/** The server answers a live request after this time if there is no event. */
const WAIT_SECONDS = 20;

/** A live request that failed is repeated after this time. */
const PAUSE_MS = 3000;

/** @param {Record<string, string>} parameters */
const pathOf = (parameters) => `/admin/audit?${new URLSearchParams(parameters)}`;

/** @param {{ rest: string }} props */
export function Screen({ rest }) {
  const [subject, setSubject] = useState('');
  const filter = { ...(subject ? { type: subject } : {}), ...(rest ? { user: rest } : {}) };
  const path = pathOf({ limit: '100', ...filter });
  const events = useResource(path);
  return html`<${Title}>${t('nav.events')}<//><${Card} title=${t('events.title')}>
    <div class="filter"><${Choice} label=${t('events.subject')} value=${subject} choose=${setSubject}
      options=${[['', t('events.all')], ...SUBJECTS.map((each) => [each, each])]} /></div>
    ${rest && html`<p>${t('events.of_user')} <a href=${`#/users/${rest}`}><code>${rest}</code></a>
      ${' '}<a href="#/events">${t('events.of_all')}</a></p>`}
    <${Read} of=${events}>${(/** @type {any} */ first) => html`
      <${List} key=${path} first=${first} filter=${filter} />`}<//><//>`;
}

/**
 * The events that were read first, older ones on demand, and newer ones as they happen.
 * @param {{ first: any, filter: Record<string, string> }} props
 */
function List({ first, filter }) {
  const [{ events, next }, setList] = useState(
    /** @type {import('./event_list.js').EventList} */ ({ events: first.events, next: first.next }));
  const [live, setLive] = useState(false);
  const [failure, setFailure] = useState(/** @type {Result | null} */ (null));
  useEffect(() => {
    if (!live) return undefined;
    const stop = new AbortController();
    void follow(filter, events[0]?.cursor ?? first.newest, stop.signal, (newer) => {
      setList((list) => withNewer(list, newer));
    }, setFailure);
    return () => stop.abort();
  }, [live]);
  /** @param {string} before */
  const older = async (before) => {
    const result = await call('GET', pathOf({ limit: '100', before, ...filter }));
    setFailure(result.ok ? null : result);
    if (result.ok) setList((list) => withOlder(list, before, result.body));
  };
  return html`<p><button type="button" class="quiet" aria-pressed=${live} onClick=${() => setLive(!live)}>
        ${t('events.live')}</button>
      ${live && html` <span class="live" role="status">${t('events.is_live')}</span>`}</p>
    ${failure && html`<${Failed} result=${failure} />`}
    ${events.length === 0 ? html`<${Empty} text=${t('events.none')} command="signet audit" />` : html`
      <${Table} label=${t('nav.events')}
        head=${[t('events.time'), t('events.event'), t('events.user'), t('events.from')]}>
        ${events.map((event) => html`<${Event} key=${event.id} of=${event} />`)}<//>`}
    ${next && html`<p><button type="button" class="quiet" onClick=${() => older(next)}>${t('events.older')}
      </button></p>`}`;
}

/**
 * Waits for newer events until the signal stops it.
 * @param {Record<string, string>} filter
 * @param {string} from
 * @param {AbortSignal} signal
 * @param {(newer: any[]) => void} found  newest first
 * @param {(failure: Result | null) => void} failed
 */
async function follow(filter, from, signal, found, failed) {
  let after = from;
  while (!signal.aborted) {
    const parameters = { limit: '100', after, wait: String(WAIT_SECONDS), ...filter };
    const result = await call('GET', pathOf(parameters), undefined, { signal });
    if (signal.aborted) return;
    failed(result.ok ? null : result);
    if (result.ok) {
      after = result.body.next ?? after;
      if (result.body.events.length > 0) found([...result.body.events].reverse());
    } else {
      await new Promise((resolve) => { setTimeout(resolve, PAUSE_MS); });
    }
  }
}

/** @param {{ of: any }} props */
const Event = ({ of }) => html`<tr><td><${Time} at=${of.time} /></td>
  <td><${Badge} tone=${of.outcome === 'success' ? '' : 'bad'}>${of.type}<//>
    <div class="small">${[of.method, of.reason, ...Object.entries(of.details ?? {}).map(([name, value]) =>
      `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)].filter(Boolean).join(' · ')}</div></td>
  <td>${of.user && html`<a href=${`#/users/${of.user.id}`}>${of.user.email ?? html`<code>${of.user.id}</code>`}</a>`}
    ${of.actor && html`<div class="small">${t('events.by', { actor: of.actor.email ?? of.actor.id })}</div>`}</td>
  <td>${of.client_ip ?? ''}<div class="small">${of.user_agent && html`
    <${Device} of=${of.user_agent} />`}</div></td></tr>`;

// The recent events of the account.

import { ActionButton, Card, Device, Failed, Loading, Time, useLoad } from '../base/components.js';
import { call } from '../base/session.js';
import { html, useState } from '../base/view.js';
import { hasText, t } from '../base/words.js';

/**
 * @typedef {{ id: string, time: string, type: string, outcome?: string, client_ip?: string, user_agent?: string,
 *   method?: string, reason?: string }} Event
 */

export function Activity() {
  const { result, again } = useLoad(() => call('GET', '/me/activity?limit=30'));
  const [older, setOlder] = useState(/** @type {Event[]} */ ([]));
  const [next, setNext] = useState(/** @type {string | null | undefined} */ (undefined));
  const cursor = next === undefined ? result?.body?.next : next;
  const more = async () => {
    const page = await call('GET', `/me/activity?limit=30&before=${encodeURIComponent(cursor)}`);
    if (!page.ok) return page;
    setOlder([...older, ...page.body.events]);
    setNext(page.body.next ?? null);
    return null;
  };
  const events = result?.ok ? [...result.body.events, ...older] : [];
  return html`<${Card} level=${1} title=${t('nav.activity')} lead=${t('activity.lead')}>
    ${!result && html`<${Loading} />`}
    ${result && !result.ok && html`<${Failed} result=${result} retry=${again} />`}
    ${result?.ok && !events.length && html`<p>${t('activity.empty')}</p>`}
    <ul class="list">${events.map((event) => html`<${Entry} key=${event.id} event=${event} />`)}</ul>
    ${cursor && html`<p class="below"><${ActionButton} act=${more}>${t('activity.more')}<//></p>`}
  <//>`;
}

/** @param {{ event: Event }} props */
function Entry({ event }) {
  const key = `event.${event.type}`;
  return html`<li><div class="what"><p><strong>${hasText(key) ? t(key) : event.type}</strong></p>
    <p class="small">${event.client_ip}${event.client_ip && event.user_agent && ' · '}
    ${event.user_agent && html`<${Device} of=${event.user_agent} />`}</p></div>
    <span class="small"><${Time} at=${event.time} /></span></li>`;
}

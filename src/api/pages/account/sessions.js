// The user's sessions, by device.

import { ActionButton, Card, Device, Loaded, Notice, Time } from '../base/components.js';
import { device } from '../base/device.js';
import { call, signOut } from '../base/session.js';
import { html, useState } from '../base/view.js';
import { t } from '../base/words.js';

/**
 * @typedef {{ id: string, created_at: string, last_used_at: string, address: string, agent: string, dialect: string,
 *   current: boolean }} Session
 */

export function Sessions() {
  return html`<${Card} level=${1} title=${t('nav.sessions')} lead=${t('sessions.lead')}>
    <${Loaded} load=${() => call('GET', '/sessions')}>
      ${(/** @type {{ sessions: Session[] }} */ body, /** @type {() => Promise<void>} */ again) =>
        html`<${List} sessions=${body.sessions} again=${again} />`}
    <//>
  <//>`;
}

/** @param {{ sessions: Session[], again: () => Promise<void> }} props */
function List({ sessions, again }) {
  const [ended, setEnded] = useState('');
  const others = sessions.filter((session) => !session.current).length;
  /** @param {Session} session */
  const end = (session) => async () => {
    if (session.current) return signOut();
    const result = await call('DELETE', `/sessions/${session.id}`);
    // It may have ended meanwhile: then it is gone from the list too.
    if (!result.ok && result.type !== 'not_found') return result;
    setEnded(t('sessions.ended', { count: 1 }));
    await again();
    return null;
  };
  const endOthers = async () => {
    const result = await call('DELETE', '/sessions?except=current');
    if (!result.ok) return result;
    setEnded(t('sessions.ended', { count: result.body.ended }));
    await again();
    return null;
  };
  /** @param {Session} session */
  const labelOfEnd = (session) => t('sessions.end_of', { device: device(session.agent) || t('device.unknown') });
  const sorted = [...sessions].sort((a, b) => Number(b.current) - Number(a.current));
  return html`<ul class="list">${sorted.map((session) => html`<li key=${session.id}>
      <div class="what">
        <p><strong><${Device} of=${session.agent} /></strong>
          ${session.current && html` <span class="badge good">${t('sessions.this')}</span>`}</p>
        <p class="small">${session.address} · ${t('sessions.used')} <${Time} at=${session.last_used_at} />
          ${' · '}${t('sessions.opened')} <${Time} at=${session.created_at} /></p>
      </div>
      <${ActionButton} act=${end(session)} label=${session.current ? t('session.sign_out') : labelOfEnd(session)}>
        ${t(session.current ? 'session.sign_out' : 'sessions.end')}<//>
    </li>`)}</ul>
    ${ended && html`<${Notice} kind="good">${ended}<//>`}
    ${others > 0
      ? html`<p class="below"><${ActionButton} kind="quiet bad" act=${endOthers}>${t('sessions.end_others')}<//></p>`
      : html`<p class="small below">${t('sessions.only')}</p>`}`;
}

// The page at `/`: links to the pages and documents of this server.

import { Card, CopyField, Frame } from '../base/components.js';
import { BASE, FACTS } from '../base/facts.js';
import { useTitle } from '../base/page.js';
import { html } from '../base/view.js';
import { t } from '../base/words.js';

/** The documents that services read, each with the key of its text. */
const DOCUMENTS = [
  ['/docs', 'home.docs'],
  ['/openapi.json', 'home.openapi'],
  ['/.well-known/jwks.json', 'home.jwks'],
  ['/.well-known/oauth-authorization-server', 'home.metadata'],
];

export function Home() {
  useTitle('home.title');
  const { home } = FACTS;
  return html`<${Frame}>
    <${Card} level=${1} title=${FACTS.service} lead=${t('home.lead')}>
      <p><a class="button" href=${`${BASE}/account`}>${t('home.account')}</a></p>
      <p class="small">${t('home.account.help')}</p>
    <//>
    ${home?.local && html`<${FirstSteps} local=${home.local} />`}
    <${Card} title=${t('home.developers')}>
      <${CopyField} label=${t('home.issuer')} text=${home?.issuer ?? ''} />
      <div class="below"><ul class="list">
        ${DOCUMENTS.map(([path, key]) => html`<li key=${path}><a href=${`${BASE}${path}`}>${t(key)}</a></li>`)}
        ${home?.console && html`<li><a href=${home.console}>${t('home.console')}</a></li>`}
      </ul></div>
    <//>
  <//>`;
}

/** @param {{ local: { command: string, outbox: string | null } }} props */
function FirstSteps({ local }) {
  return html`<${Card} title=${t('home.first')} lead=${t('home.first.lead')}>
    <p>${t('home.first.command')}<br /><code>${local.command}</code></p>
    <p class="small">${local.outbox ? t('home.first.outbox', { folder: local.outbox }) : t('home.first.sent')}</p>
  <//>`;
}

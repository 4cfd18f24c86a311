// Every setting with its value and where it comes from.

import { Card, Field, Title } from '../../base/components.js';
import { html, useSignal } from '../../base/view.js';
import { t } from '../../base/words.js';
import { Badge, Check, Empty, Table } from '../parts.js';
import { Read, useResource } from '../resource.js';

/** The screen. */
export function Screen() {
  const settings = useResource('/admin/settings');
  const [query, changed] = [useSignal(''), useSignal(false)];
  const matches = (/** @type {any} */ each) => (!changed.value || each.changed)
    && `${each.name} ${each.description}`.toLowerCase().includes(query.value.trim().toLowerCase());
  return html`<${Title}>${t('nav.settings')}<//><${Card} title=${t('settings.title')} lead=${t('settings.lead')}>
    <div class="filter">
      <${Field} label=${t('settings.search')} name="query" type="search" required=${false} value=${query} />
      <${Check} label=${t('settings.changed')} value=${changed} /></div>
    <${Read} of=${settings}>${(/** @type {any} */ data) => html`
      <${List} settings=${data.settings.filter(matches)} />`}<//><//>`;
}

/** @param {{ settings: any[] }} props */
const List = ({ settings }) => (settings.length === 0
  ? html`<${Empty} text=${t('settings.none')} command="signet config show" />`
  : html`<${Table} label=${t('nav.settings')} head=${[t('settings.name'), t('settings.value'), t('settings.source')]}>
    ${settings.map((each) => html`<tr key=${each.name}><td><code>${each.name}</code>
      ${each.description && html`<div class="small">${each.description}</div>`}</td>
      <td class="value"><code>${each.value === null || each.value === undefined ? '–'
        : typeof each.value === 'string' ? each.value : JSON.stringify(each.value)}</code></td>
      <td><${Badge} tone=${each.changed ? 'good' : ''}>${t(`source.${each.source}`)}<//>
        ${each.from && html`<div class="small">${each.from}</div>`}</td></tr>`)}<//>`);

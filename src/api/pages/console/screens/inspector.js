// The token inspector: the contents of a token or an API key, and the reason why it is refused, if it is.

import { Card, Device, Form, Notice, Title } from '../../base/components.js';
import { call } from '../../base/session.js';
import { html, useSignal, useState } from '../../base/view.js';
import { dateTime, hasText, t } from '../../base/words.js';
import { Area, Badge, Time } from '../parts.js';

/** The claims whose numbers are times. */
const TIMES = ['iat', 'nbf', 'exp', 'auth_time'];

/** The screen. The token leaves the page only in the body of the request. */
export function Screen() {
  const token = useSignal('');
  const [found, setFound] = useState(/** @type {any} */ (null));
  return html`<${Title}>${t('nav.inspect')}<//><${Card} title=${t('inspect.title')} lead=${t('inspect.lead')}>
      <${Form} label=${t('inspect.button')} send=${() => call('POST', '/admin/inspect', { token: token.value.trim() })}
        done=${(/** @type {any} */ result) => setFound(result.body)}>
        <${Area} label=${t('inspect.token')} value=${token} rows=${5} required maxlength="16384" /><//><//>
    ${found && html`<${Found} of=${found} />`}`;
}

/** Why it is refused. @param {{ of: any }} props */
const Reason = ({ of }) => html`${hasText(`reason.${of.reason}`)
  ? t(`reason.${of.reason}`) : of.explanation ?? of.reason}`;

/** @param {{ of: any }} props */
const Found = ({ of }) => html`<${Card} title=${hasText(`inspect.${of.kind}`) ? t(`inspect.${of.kind}`) : of.kind}>
  <${Notice} kind=${of.valid ? 'good' : 'bad'}><strong>${of.valid ? t('inspect.valid') : t('inspect.invalid')}</strong>
    ${of.reason && html` <${Reason} of=${of} />`}<//>
  <dl class="pairs">
    ${of.key && html`<dt>${t('inspect.key')}</dt><dd><code>${of.key.kid}</code>${' '}
      <${Badge}>${hasText(`ring.${of.key.state}`) ? t(`ring.${of.key.state}`) : of.key.state}<//></dd>`}
    ${of.user && html`<dt>${t('inspect.user')}</dt><dd><a href=${`#/users/${of.user.id}`}>${of.user.email}</a>
      ${of.user.disabled && html` <${Badge} tone="bad">${t('users.disabled')}<//>`}</dd>`}
    ${of.revoked && html`<dt>${t('inspect.revoked')}</dt><dd>${hasText(`revoked.${of.revoked.what}`)
      ? t(`revoked.${of.revoked.what}`) : of.revoked.what}, ${of.revoked.at ? html`<${Time} at=${of.revoked.at} />`
      : t('inspect.unknown_time')}</dd>`}
    ${of.session && html`<dt>${t('inspect.session')}</dt><dd><code>${of.session.id}</code>
      <div class="small"><${Device} of=${of.session.agent} /> · ${of.session.address || '–'},
      ${' '}<${Time} at=${of.session.last_used_at} /></div></dd>`}
  </dl>
  ${of.header && html`<h3>${t('inspect.header')}</h3><${Values} of=${of.header} />`}
  ${of.claims && html`<h3>${t('inspect.claims')}</h3><${Values} of=${of.claims} />`}<//>`;

/** @param {{ of: Record<string, any> }} props */
const Values = ({ of }) => html`<dl class="pairs">${Object.entries(of).map(([name, value]) => html`
  <dt><code>${name}</code></dt><dd><code>${typeof value === 'string' ? value : JSON.stringify(value)}</code>
    ${TIMES.includes(name) && typeof value === 'number' && html`
      <div class="small">${dateTime(value * 1000)}</div>`}</dd>`)}</dl>`;

// The signing keys, on a time line.

import { Card, Title } from '../../base/components.js';
import { html, useState } from '../../base/view.js';
import { dateTime, t } from '../../base/words.js';
import { timeLine } from './chart.js';
import { Badge, ChangeButton, Chart, Confirm, Table, Time } from '../parts.js';
import { change, Read, useResource } from '../resource.js';

/** @type {Record<string, string>} */
const TONES = { announced: '', signing: 'good', verify_only: 'warn', revoked: 'bad' };

/** The screen. */
export function Screen() {
  const keys = useResource('/admin/keys', 30_000);
  const [asked, setAsked] = useState('');
  const [rotating, setRotating] = useState('');
  const close = () => { setAsked(''); setRotating(''); };
  const done = () => { close(); keys.reload(); };
  return html`<${Title}>${t('nav.keys')}<//>
    <${Read} of=${keys}>${(/** @type {any} */ data) => html`
      <${Card} title=${t('ring.line')}
        lead=${data.next_rotation ? t('ring.next', { time: dateTime(data.next_rotation) }) : null}>
        <${Chart} draw=${(/** @type {number} */ width) => draw(data.keys, width)} />
        <p class="legend">${Object.keys(TONES).map((state) => html`
          <span class=${`swatch ${state}`}>${t(`ring.${state}`)}</span>`)}</p><//>
      <${Card} title=${t('ring.all')}><${Table} label=${t('nav.keys')} head=${['kid', t('ring.algorithm'),
        t('ring.state'), t('ring.from'), t('ring.until'), t('actions')]}>
        ${data.keys.map((/** @type {any} */ key) => html`<tr key=${key.kid}>
          <td><code>${key.kid}</code></td><td>${key.algorithm}</td><td><${Badge} tone=${TONES[key.state] ?? ''}>
          ${t(`ring.${key.state}`)}<//></td><td><${Time} at=${key.signs_from} /></td>
          <td><${Time} at=${key.verify_until} /></td>
          <td>${key.state !== 'revoked' && html`<${ChangeButton} kind="quiet bad" press=${() => setAsked(key.kid)}
            label=${t('ring.revoke_label', { kid: key.kid })}>${t('ring.revoke')}<//>`}</td></tr>`)}<//>
        <p class="row">${algorithms(data.keys).map((each) => html`<${ChangeButton} press=${() => setRotating(each)}>
          ${t('ring.rotate_one', { algorithm: each })}<//>`)}</p><//>`}<//>
    ${rotating && html`<${Confirm} title=${t('ring.rotate')} label=${t('ring.rotate')} text=${t('ring.rotate_text')}
      send=${() => change('POST', `/admin/keys/rotate?algorithm=${rotating}`)} done=${done} close=${close} />`}
    ${asked && html`<${Confirm} title=${t('ring.revoke')} label=${t('ring.revoke')} typed=${asked}
      text=${t('ring.revoke_text')} send=${() => change('POST', `/admin/keys/${encodeURIComponent(asked)}/revoke`)}
      done=${done} close=${close} />`}`;
}

/** @type {(keys: any[]) => string[]} */
const algorithms = (keys) => [...new Set(keys.map((key) => key.algorithm))];

/** @param {string | null | undefined} time */
const at = (time) => (time ? Date.parse(time) : null);

/**
 * Each key from its announcement to its end; a key signs until the next one of its algorithm does.
 * @param {any[]} keys
 * @param {number} width
 */
function draw(keys, width) {
  const rows = keys.map((key) => {
    const from = at(key.signs_from);
    const starts = keys.filter((other) => other.algorithm === key.algorithm).map((other) => at(other.signs_from) ?? 0);
    const next = Math.min(...starts.filter((start) => start > (from ?? 0)));
    const signsUntil = Number.isFinite(next) ? next : null;
    const until = at(key.verify_until);
    const revoked = [{ from: at(key.created_at) ?? 0, to: at(key.revoked_at) ?? Date.now(), kind: 'revoked' }];
    const spans = key.state === 'revoked' ? revoked : [
      { from: at(key.announced_at ?? key.created_at) ?? 0, to: from, kind: 'announced' },
      { from: from ?? 0, to: signsUntil, kind: 'signing' },
      ...(signsUntil === null ? [] : [{ from: signsUntil, to: until, kind: 'verify_only' }]),
    ];
    const visible = spans.filter((span) => span.from > 0 && span.to !== span.from);
    return { label: String(key.kid).slice(0, 10), spans: visible };
  });
  const signing = keys.filter((key) => key.state === 'signing').map((key) => key.kid).join(', ');
  const label = t('ring.chart', { signing });
  return timeLine({ rows, now: Date.now(), width, label, format: (time) => dateTime(time) });
}

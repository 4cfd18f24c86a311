// The current load and state of the server, drawn from its own metrics.

import { Card, Failed, Loading, Title } from '../../base/components.js';
import { html } from '../../base/view.js';
import { hasText, t } from '../../base/words.js';
import { bar, lineChart } from './chart.js';
import { milliseconds, number, span } from '../format.js';
import { Badge, Chart, Drawing, Empty, Table, Time } from '../parts.js';
import { overview, readOverview } from '../resource.js';

/** The screen. */
export function Screen() {
  const { data, failure } = overview.value;
  return html`<${Title}>${t('nav.overview')}<//>
    ${data === null ? failure ? html`<${Failed} result=${failure} retry=${readOverview} />` : html`<${Loading} />`
      : html`<${Numbers} node=${data.this_node} /><${Traffic} node=${data.this_node} />
        <${SignIns} node=${data.this_node} />
        <${Nodes} nodes=${data.nodes} /><${Stores} node=${data.this_node} />`}`;
}

/** @param {{ node: any }} props */
function Numbers({ node }) {
  const { series = [], hash_queue: queue, revocation, mail } = node;
  const last = series[series.length - 1];
  /** @type {[string, string, string?][]} */
  const facts = [
    [t('overview.requests'), number(last?.per_second ?? 0), t('overview.per_second')],
    ['p99', milliseconds(last?.p99_ms)],
    [t('overview.queue'), `${number(queue.length)} / ${number(queue.capacity)}`,
      t('overview.wait', { time: milliseconds(queue.wait_p99_ms) })],
    [t('overview.revocation'), milliseconds(revocation.lag_ms), t('overview.entries', { count: revocation.entries })],
    [t('overview.mail'), number(mail.queued), mail.queued > 0 ? span(mail.oldest_seconds)
      : t('overview.mail_sent', { sent: mail.sent, failed: mail.failed })],
    [t('overview.uptime'), span(node.uptime)],
  ];
  return html`<dl class="facts">${facts.map(([name, value, detail]) => html`<div><dt>${name}</dt>
    <dd>${value}${detail && html` <span class="small">${detail}</span>`}</dd></div>`)}</dl>`;
}

/** @param {{ node: any }} props */
function Traffic({ node }) {
  const series = node.series ?? [];
  const rates = [...(node.rates ?? [])].sort((one, other) => other.per_second - one.per_second).slice(0, 12);
  const most = Math.max(0, ...rates.map((each) => each.per_second));
  const values = (/** @type {string} */ field) => series.map((/** @type {any} */ point) => point[field] ?? null);
  const latest = (/** @type {string} */ field) => series[series.length - 1]?.[field];
  /** @type {(field: string, name: string, format: (value: number) => string) => any} */
  const chart = (field, name, format) =>
    html`<figure><figcaption>${name}</figcaption><${Chart} draw=${(/** @type {number} */ width) => lineChart({
      lines: [{ name, values: values(field) }], width, format: (value) => number(value), from: t('overview.earlier'),
      to: t('overview.now'), label: t('overview.chart', { name, value: format(latest(field)) }),
    })} /></figure>`;
  return html`<${Card} title=${t('overview.traffic')}>
    <div class="charts">${chart('per_second', t('overview.requests_per_second'), number)}
      ${chart('p99_ms', t('overview.p99_ms'), milliseconds)}</div>
    ${rates.length === 0
    ? html`<${Empty} text=${t('overview.no_requests')} command="curl …/.well-known/jwks.json" />` : html`
      <${Table} label=${t('overview.operations')} head=${[t('overview.operation'), t('overview.share'),
        t('overview.rate'), 'p50', 'p99', t('overview.errors')]}>${rates.map((each) => html`
        <tr key=${each.operation}><td><code>${each.operation}</code></td>
          <td class="barred"><${Drawing} of=${bar(each.per_second, most)} /></td><td>${number(each.per_second)}</td>
          <td>${milliseconds(each.p50_ms)}</td><td>${milliseconds(each.p99_ms)}</td>
          <td>${each.errors_per_second > 0
            ? html`<${Badge} tone="bad">${number(each.errors_per_second)}<//>` : '0'}</td>
        </tr>`)}<//>`}<//>`;
}

/** @param {{ node: any }} props */
function SignIns({ node }) {
  const rows = [...(node.sign_ins ?? [])].sort((one, other) => other.count - one.count);
  const most = Math.max(0, ...rows.map((each) => each.count));
  return html`<${Card} title=${t('overview.sign_ins')}>${rows.length === 0
    ? html`<${Empty} text=${t('overview.no_sign_ins')} />` : html`<${Table} label=${t('overview.sign_ins')}
      head=${[t('overview.method'), t('overview.outcome'), t('overview.share'), t('overview.count')]}>
      ${rows.map((each) => html`<tr><td><code>${each.method}</code></td><td><${Badge} tone=${tone(each.outcome)}>
        ${each.outcome}<//></td><td class="barred"><${Drawing} of=${bar(each.count, most, tone(each.outcome))} /></td>
        <td>${number(each.count)}</td></tr>`)}<//>`}<//>`;
}

/** @param {string} outcome */
const tone = (outcome) => (/success/.test(outcome) ? 'good' : 'bad');

/** @param {{ nodes: any[] }} props */
const Nodes = ({ nodes }) => html`<${Card} title=${t('overview.nodes')}>
  <${Table} label=${t('overview.nodes')} head=${[t('overview.node'), t('overview.state'), t('overview.version'),
    t('overview.started')]}>${nodes.map((each) => html`<tr key=${each.id}><td><code>${each.id}</code></td>
    <td><${NodeState} of=${each} /></td><td>${each.version ?? '–'}</td>
    <td><${Time} at=${each.started_at} /></td></tr>`)}<//><//>`;

/** @param {{ of: any }} props */
const NodeState = ({ of }) => html`<span class="badges">
  ${of.ready === null && html`<${Badge}>${t('overview.unknown')}<//>`}
  ${of.ready && html`<${Badge} tone="good">${t('overview.ready')}<//>`}
  ${of.ready === false && html`<${Badge} tone="bad">${t('overview.not_ready')}<//>`}
  ${!of.has_applied_revocations && html`<${Badge} tone="warn">${t('overview.applying')}<//>`}</span>
  ${of.reasons.map((/** @type {string} */ reason) => html`<div class="small">${reason}</div>`)}`;

/** @param {{ node: any }} props */
function Stores({ node }) {
  const followers = node.followers ?? [];
  return html`<div class="pair"><${Card} title=${t('overview.stores')}>
    <${Table} label=${t('overview.stores')} head=${[t('overview.store'), t('overview.state'), t('overview.latency')]}>
      ${(node.stores ?? []).map((/** @type {any} */ each) => html`<tr key=${each.name}>
        <td>${hasText(`store.${each.name}`) ? t(`store.${each.name}`) : each.name}</td>
        <td><${Badge} tone=${each.up ? 'good' : 'bad'}>${each.up ? t('overview.up') : t('overview.down')}<//></td>
        <td>${milliseconds(each.latency_ms)}</td></tr>`)}<//><//>
    <${Card} title=${t('overview.followers')}>${followers.length === 0
      ? html`<${Empty} text=${t('overview.no_followers')} command="curl …/.well-known/signet-revocations" />`
      : html`<${Table} label=${t('overview.followers')}
        head=${[t('overview.name'), t('overview.behind'), t('overview.seen')]}>
        ${followers.map((/** @type {any} */ each) => html`<tr key=${each.name}><td>${each.name}</td>
          <td>${milliseconds(each.behind_ms)}</td><td><${Time} at=${each.seen_at} /></td></tr>`)}<//>`}<//></div>`;
}

// The results of a load test: the file that `SUMMARY=FILE` wrote, as a chart. It stays in the browser.

import { Card, Notice, Title } from '../../base/components.js';
import { html, useId, useState } from '../../base/view.js';
import { t } from '../../base/words.js';
import { durations } from './chart.js';
import { milliseconds, number, percent } from '../format.js';
import { MAX_BYTES, readSummary } from './k6.js';
import { Badge, Chart, Empty, Table } from '../parts.js';

/** The screen. */
export function Screen() {
  const id = useId();
  const [run, setRun] = useState(/** @type {ReturnType<typeof readSummary>} */ (null));
  const [failed, setFailed] = useState(false);
  const [over, setOver] = useState(false);
  const read = async (/** @type {File | undefined} */ file) => {
    if (!file) return;
    const result = file.size > MAX_BYTES ? null : readSummary(await file.text());
    setRun(result);
    setFailed(result === null);
  };
  const drag = (/** @type {boolean} */ inside) => (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    setOver(inside);
  };
  const drop = (/** @type {DragEvent} */ event) => {
    drag(false)(event);
    void read(event.dataTransfer?.files[0]);
  };
  return html`<${Title}>${t('nav.load-test')}<//><${Card} title=${t('load.title')} lead=${t('load.lead')}>
      <div class=${`drop ${over ? 'over' : ''}`} onDragOver=${drag(true)} onDragLeave=${drag(false)} onDrop=${drop}>
        <label for=${id}>${t('load.file')}</label><input id=${id} type="file" accept=".json,application/json"
          onChange=${(/** @type {any} */ event) => read(event.currentTarget.files[0])} /></div>
      ${failed && html`<${Notice} kind="bad">${t('load.unreadable')}<//>`}
      ${run === null && !failed && html`<${Empty} text=${t('load.none')}
        command="k6 run -e SUMMARY=summary.json loadtest/mixed.js" />`}<//>
    ${run && html`<${Run} of=${run} />`}`;
}

/** @param {{ of: NonNullable<ReturnType<typeof readSummary>> }} props */
function Run({ of }) {
  const rows = of.operations.map((each) => ({ label: each.name, marks: each.marks, limit: each.limit }));
  const slowest = of.operations.map((each) => `${each.name} ${milliseconds(each.marks[2])}`).join(', ');
  const lead = [of.shape, of.rate && t('load.rate', { rate: of.rate })].filter(Boolean).join(', ');
  return html`<${Card} title=${of.script} lead=${lead}>
    <p><${Badge} tone=${of.passed ? 'good' : 'bad'}>${of.passed ? t('load.passed') : t('load.failed')}<//>
      ${of.dropped > 0 && html` ${t('load.dropped', { count: of.dropped })}`}</p>
    <ul>${of.missed.map((/** @type {string} */ name) => html`<li><code>${name}</code></li>`)}</ul>
    <figure><figcaption>${t('load.chart')}</figcaption><${Chart} draw=${(/** @type {number} */ width) => durations({
      rows, width, format: milliseconds, label: t('load.chart_label', { slowest }),
    })} /></figure>
    <${Table} label=${of.script} head=${[t('overview.operation'), t('load.requests'), t('overview.rate'),
      t('load.median'), 'p95', 'p99', 'p99.9', t('load.max'), t('load.errors'), t('load.checks')]}>
      ${of.operations.map((each) => html`<tr key=${each.name}><td><code>${each.name}</code></td>
        <td>${number(each.requests)}</td><td>${number(each.perSecond)}</td>
        ${each.marks.map((mark) => html`<td>${milliseconds(mark)}</td>`)}
        <td>${percent(each.failed)}</td><td>${percent(each.checks)}</td></tr>`)}<//><//>`;
}

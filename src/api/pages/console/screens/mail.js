// Mail: the queue of the node with the reasons why mails wait, the letters in its outbox, and a test.

import { ActionButton, Card, Dialog, Failed, Field, Notice, Title } from '../../base/components.js';
import { call } from '../../base/session.js';
import { html, useEffect, useRef, useSignal, useState } from '../../base/view.js';
import { dateTime, t } from '../../base/words.js';
import { milliseconds, number, span } from '../format.js';
import { ChangeButton, Empty, FormDialog, Table, Time } from '../parts.js';
import { change, Read, useResource } from '../resource.js';

const OUTBOX = '/admin/mail/outbox';

/** The queue is read this often. */
const EVERY_MS = 5000;

/** The screen. */
export function Screen() {
  const mail = useResource('/admin/mail', EVERY_MS);
  const [testing, setTesting] = useState(false);
  const [tested, setTested] = useState(/** @type {any} */ (null));
  const done = (/** @type {any} */ result) => { setTesting(false); setTested(result.body); mail.reload(); };
  return html`<${Title}>${t('nav.mail')}<//>
    ${tested && html`<${Notice} kind=${tested.accepted ? 'good' : 'bad'}>${tested.accepted
      ? t('mail.accepted', { by: tested.destination, time: milliseconds(tested.took_ms) })
      : t('mail.refused', { by: tested.destination, reason: tested.reason })}<//>`}
    <${Read} of=${mail}>${(/** @type {any} */ data) => html`
      <${Card} title=${t('mail.state')}
        lead=${t(data.outbox ? 'mail.to_outbox' : 'mail.to_server', { to: data.destination })}>
        <dl class="pairs">
          <dt>${t('mail.queued')}</dt>
          <dd>${t('mail.of', { count: number(data.queued), all: number(data.capacity) })}</dd>
          <dt>${t('mail.oldest')}</dt><dd>${data.queued > 0 ? span(data.oldest_seconds) : '–'}</dd>
          <dt>${t('mail.sent')}</dt><dd>${number(data.sent)}</dd>
          <dt>${t('mail.failed')}</dt><dd>${number(data.failed)}</dd>
          <dt>${t('mail.retries')}</dt><dd>${number(data.retries)}</dd></dl>
        <p><${ChangeButton} press=${() => setTesting(true)}>${t('mail.test')}<//></p><//>
      <${Card} title=${t('mail.queue')}><${Queue} queue=${data.queue} /><//>
      ${data.outbox && html`<${Outbox} sent=${data.sent} />`}`}<//>
    ${testing && html`<${Test} done=${done} close=${() => setTesting(false)} />`}`;
}

/** @param {{ queue: any[] }} props */
const Queue = ({ queue }) => (queue.length === 0 ? html`<${Empty} text=${t('mail.none_queued')} />`
  : html`<${Table} label=${t('mail.queue')} head=${[t('mail.letter'), t('mail.to'), t('mail.since'), t('mail.until'),
    t('mail.tries')]}>${queue.map((each) => html`<tr><td><code>${each.letter}</code></td><td>${each.to}</td>
      <td><${Time} at=${each.queued_at} /></td><td>${dateTime(each.expires_at)}</td>
      <td>${number(each.failed_tries)}<div class="small">${each.last_failure}</div></td></tr>`)}<//>`);

/** @param {{ done: (result: any) => void, close: () => void }} props */
function Test({ done, close }) {
  const to = useSignal('');
  const send = () => change('POST', '/admin/mail/test', { to: to.value });
  return html`<${FormDialog} title=${t('mail.test')} label=${t('mail.send')} send=${send} done=${done} close=${close}>
    <p>${t('mail.test_text')}</p>
    <${Field} label=${t('mail.address')} name="to" type="email" value=${to} autocomplete="email" /><//>`;
}

/**
 * The letters that were written to files.
 * @param {{ sent: number }} props  `sent`: reads the list again when it grows
 */
function Outbox({ sent }) {
  const letters = useResource(`${OUTBOX}?limit=50`);
  const [more, setMore] = useState(/** @type {any[]} */ ([]));
  const [failure, setFailure] = useState(/** @type {any} */ (null));
  const [letter, setLetter] = useState(/** @type {any} */ (null));
  const first = useRef(sent);
  useEffect(() => {
    if (first.current !== sent) { setMore([]); letters.reload(); }
    first.current = sent;
  }, [sent]);
  const read = async (/** @type {string} */ name) => {
    const result = await change('GET', `${OUTBOX}/${encodeURIComponent(name)}`);
    if (result.ok) setLetter(result.body);
    return result;
  };
  const next = async (/** @type {string} */ cursor) => {
    const result = await call('GET', `${OUTBOX}?limit=50&cursor=${encodeURIComponent(cursor)}`);
    setFailure(result.ok ? null : result);
    if (result.ok) setMore([...more, result.body]);
  };
  return html`<${Card} title=${t('mail.outbox')} lead=${t('mail.outbox_lead')}>
    <${Read} of=${letters}>${(/** @type {any} */ data) => {
      const pages = [data, ...more];
      const cursor = pages[pages.length - 1].next_cursor;
      const all = pages.flatMap((page) => page.letters);
      if (all.length === 0) return html`<${Empty} text=${t('mail.none')} command="signet mail test you@example.org" />`;
      return html`<${Table} label=${t('mail.outbox')} head=${[t('mail.written'), t('mail.to'), t('mail.subject'),
        t('actions')]}>${all.map((each) => html`<tr key=${each.name}><td><${Time} at=${each.written_at} /></td>
          <td>${each.to}</td><td>${each.subject}</td><td><${ActionButton} act=${() => read(each.name)}
            label=${t('mail.read_label', { subject: each.subject, to: each.to })}>${t('mail.read')}<//></td></tr>`)}<//>
        ${failure && html`<${Failed} result=${failure} retry=${() => next(cursor)} />`}
        ${cursor && !failure && html`<p><button type="button" class="quiet" onClick=${() => next(cursor)}>
          ${t('action.more')}</button></p>`}`;
    }}<//>
    ${letter && html`<${Letter} of=${letter} close=${() => setLetter(null)} />`}<//>`;
}

/** @param {{ of: any, close: () => void }} props */
function Letter({ of, close }) {
  const [plain, setPlain] = useState(of.html === '');
  return html`<${Dialog} title=${of.subject} close=${close}>
    <dl class="pairs"><dt>${t('mail.from')}</dt><dd>${of.from}</dd><dt>${t('mail.to')}</dt><dd>${of.to}</dd>
      <dt>${t('mail.written')}</dt><dd>${dateTime(of.written_at)}</dd></dl>
    ${plain ? html`<pre tabindex="0">${of.text}</pre>` : html`<${Rendered} title=${of.subject} text=${of.html} />`}
    <p class="row"><button type="button" class="quiet" onClick=${close}>${t('mail.close')}</button>
      ${of.html && html`<button type="button" class="quiet" onClick=${() => setPlain(!plain)}>
        ${t(plain ? 'mail.as_html' : 'mail.as_text')}</button>`}</p><//>`;
}

/**
 * A letter as a mail client shows it: in a frame without scripts, which inherits the policy of the page, so that it
 * loads nothing from elsewhere. The policy allows no style in markup, so the styles are set afterwards.
 * @param {{ title: string, text: string }} props
 */
function Rendered({ title, text }) {
  const [source, setSource] = useState('');
  useEffect(() => {
    const inert = text.replace(/<(\/?)style\b/g, '<$1template').replace(/\sstyle=/g, ' data-style=');
    const url = URL.createObjectURL(new Blob([inert], { type: 'text/html;charset=utf-8' }));
    setSource(url);
    return () => URL.revokeObjectURL(url);
  }, [text]);
  const style = (/** @type {any} */ event) => {
    const { contentDocument: letter, contentWindow: view } = event.currentTarget;
    for (const part of letter.querySelectorAll('[data-style]')) part.style.cssText = part.dataset.style;
    letter.adoptedStyleSheets = [...letter.querySelectorAll('template')].map((part) => {
      const sheet = new view.CSSStyleSheet();
      sheet.replaceSync(part.content.textContent);
      return sheet;
    });
    // A link would replace the letter, which the policy refuses.
    for (const link of letter.querySelectorAll('a')) link.target = '_blank';
  };
  return source && html`<iframe class="letter" title=${title} sandbox="allow-same-origin allow-popups
    allow-popups-to-escape-sandbox" src=${source} onLoad=${style}></iframe>`;
}

// The second factor: enrolling an authenticator app, recovery codes, turning it off.

import {
  ActionButton, Cancel, Card, CopyField, Dialog, Failed, Field, Form, Loading, Notice, PasswordField,
} from '../base/components.js';
import { errorText } from '../base/http.js';
import { call } from '../base/session.js';
import { html, useEffect, useRef, useSignal, useState } from '../base/view.js';
import { t } from '../base/words.js';
import { change } from './recent_sign_in.js';
import { download } from './download.js';
import { loadMe, me } from './me.js';

/** @typedef {import('../base/http.js').Result} Result */

export function SecondFactor() {
  const [enrolling, setEnrolling] = useState(false);
  const [asking, setAsking] = useState(/** @type {'' | 'off' | 'codes'} */ (''));
  const [codes, setCodes] = useState(/** @type {string[]} */ ([]));
  const user = me.value;
  if (!user) return null;
  /** @param {string[]} received */
  const show = (received) => {
    setCodes(received);
    setEnrolling(false);
    setAsking('');
    void loadMe();
  };
  if (codes.length) return html`<${RecoveryCodes} codes=${codes} close=${() => setCodes([])} />`;
  if (enrolling) return html`<${Enrollment} show=${show} cancel=${() => setEnrolling(false)} />`;
  const left = user.mfa.recovery_codes_left;
  return html`<${Card} title=${t('mfa.title')} lead=${t('mfa.lead')}>
    ${!user.mfa.enabled && html`<p>
      <button type="button" onClick=${() => setEnrolling(true)}>${t('mfa.enable')}</button></p>`}
    ${user.mfa.enabled && html`
      <p><span class="badge good">${t('mfa.on')}</span> ${t('mfa.codes_left', { count: left })}</p>
      ${left < 3 && html`<${Notice} kind="warn">${t('mfa.few_codes')}<//>`}
      <div class="row below">
        <button type="button" class="quiet" onClick=${() => setAsking('codes')}>${t('mfa.new_codes')}</button>
        <button type="button" class="quiet bad" onClick=${() => setAsking('off')}>${t('mfa.disable')}</button>
      </div>`}
    ${asking === 'off' && html`<${Confirmation} title=${t('mfa.disable')} lead=${t('mfa.disable_lead')} kind="bad"
      send=${(/** @type {object} */ body) => change('DELETE', '/totp', body)} close=${() => setAsking('')}
      done=${() => show([])} />`}
    ${asking === 'codes' && html`<${Confirmation} title=${t('mfa.new_codes')} lead=${t('mfa.new_codes_lead')}
      send=${(/** @type {object} */ body) => change('POST', '/totp/recovery-codes', body)} close=${() => setAsking('')}
      done=${(/** @type {Result} */ result) => show(result.body.recovery_codes)} />`}
  <//>`;
}

/**
 * Asks for the password, where there is one, before a change.
 * @param {{ title: string, lead: string, kind?: 'bad' | '', send: (body: object) => Promise<Result>, close: () => void,
 *   done: (result: Result) => void }} props
 */
function Confirmation({ title, lead, kind = '', send, close, done }) {
  const password = useSignal('');
  const body = () => (me.value?.has_password ? { password: password.value } : {});
  return html`<${Dialog} title=${title} close=${close}><p>${lead}</p>
    <${Form} label=${title} kind=${kind} send=${() => send(body())} done=${done}
      secondary=${html`<${Cancel} cancel=${close} />`}>
      ${me.value?.has_password && html`<${PasswordField} label=${t('field.password')} value=${password} />`}
    <//>
  <//>`;
}

/** @param {{ show: (codes: string[]) => void, cancel: () => void }} props */
function Enrollment({ show, cancel }) {
  const code = useSignal('');
  const password = useSignal('');
  const [begun, setBegun] = useState(/** @type {Result | null} */ (null));
  const [picture, setPicture] = useState(/** @type {Result | null} */ (null));
  const draw = async () => setPicture(await call('GET', '/totp/qr?format=svg'));
  useEffect(() => {
    void (async () => {
      const result = await change('POST', '/totp', {});
      setBegun(result);
      if (result.ok) await draw();
    })();
  }, []);
  if (!begun) return html`<${Card} title=${t('mfa.enable')}><${Loading} /><//>`;
  if (!begun.ok) {
    return html`<${Card} title=${t('mfa.enable')}><${Notice} kind="bad">${errorText(begun)}<//>
      <p class="below"><button type="button" class="quiet" onClick=${cancel}>${t('state.cancel')}</button></p><//>`;
  }
  const confirm = () => {
    const proof = me.value?.has_password ? { password: password.value } : {};
    return change('PUT', '/totp', { code: code.value.replace(/\s/g, ''), ...proof });
  };
  return html`<${Card} title=${t('mfa.enable')} lead=${t('mfa.scan')}>
    ${!picture && html`<${Loading} />`}
    ${picture && !picture.ok && html`<${Failed} result=${picture} retry=${draw} />`}
    ${picture?.ok && html`<img class="qr" src=${`data:image/svg+xml,${encodeURIComponent(picture.body)}`}
      alt=${t('mfa.qr_alt')} width="240" height="240" />`}
    <details><summary>${t('mfa.no_camera')}</summary>
      <${CopyField} label=${t('mfa.key')} text=${begun.body.key} /></details>
    <${Form} label=${t('mfa.confirm')} send=${confirm}
      done=${(/** @type {Result} */ result) => show(result.body.recovery_codes)}
      secondary=${html`<${Cancel} cancel=${cancel} />`}>
      <${Field} label=${t('mfa.first_code')} name="code" autocomplete="one-time-code" inputmode="numeric"
        value=${code} />
      ${me.value?.has_password && html`<${PasswordField} label=${t('field.password')} value=${password} />`}
    <//>
  <//>`;
}

/** Shown once. @param {{ codes: string[], close: () => void }} props */
function RecoveryCodes({ codes, close }) {
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => heading.current?.focus(), []);
  const text = codes.join('\n');
  return html`<section class="card" aria-labelledby="codes">
    <h2 id="codes" tabindex="-1" ref=${heading}>${t('mfa.codes_title')}</h2><p class="lead">${t('mfa.codes_lead')}</p>
    <ul class="codes">${codes.map((code) => html`<li><code>${code}</code></li>`)}</ul>
    <div class="row">
      <${ActionButton} act=${() => navigator.clipboard.writeText(text).catch(() => undefined)}>${t('copy.do')}<//>
      <button type="button" class="quiet" onClick=${() => download('recovery-codes.txt', `${text}\n`, 'text/plain')}>
        ${t('mfa.codes_save')}</button>
      <button type="button" onClick=${close}>${t('mfa.codes_kept')}</button>
    </div>
  </section>`;
}

// A form to call an operation: parameters, body and credential, with the call as code and the response below.
// Credentials stay in this page and are lost when it closes.

import { copyButton, element } from './element.js';
import { LANGUAGES } from './samples.js';
import { resolve, sample, typeWords } from './schema.js';
import { isDestructive } from './tasks.js';
import { t } from './words.js';

/** The credentials that the user entered, by kind. */
const stored = { bearer: '', key: '' };

const pretty = (text, mediaType) => {
  if (!/json/.test(mediaType)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
};

/** Sets a credential that a response contained. */
function store(kind, secret) {
  stored[kind] = secret;
  document.getElementById(`stored-${kind}`).value = secret;
}

/** The names under which responses contain a credential, each with its kind and the key of the button's text. */
const ISSUED = [
  ['access_token', 'bearer', 'call.use_token'],
  ['key', 'key', 'call.use_key'],
];

/** The credential in a response: its kind, the secret, and the key of the button's text. */
function issued(text) {
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    return null;
  }
  for (const [name, kind, label] of ISSUED) {
    // Some APIs put their data into an envelope.
    const secret = [body?.[name], body?.data?.[name]].find((value) => typeof value === 'string' && value.length > 20);
    if (secret) return { kind, secret, label };
  }
  return null;
}

/** The two fields for credentials at the head of the page. */
export function credentials() {
  const field = (kind, label, hint) => {
    const id = `stored-${kind}`;
    const input = element('input', { id, type: 'password', autocomplete: 'off', spellcheck: 'false', placeholder: hint,
      oninput: (event) => { stored[kind] = event.target.value.trim(); } });
    // Kept when the page is drawn in another language.
    input.value = stored[kind];
    return element('div', { class: 'pair' }, element('label', { for: id }, label), input);
  };
  return element('section', { class: 'credentials', 'aria-labelledby': 'credentials' },
    element('h2', { id: 'credentials' }, t('credentials.title')),
    element('div', { class: 'row' }, field('bearer', t('credentials.bearer'), 'eyJ…'),
      field('key', t('credentials.key'), 'sk_…')),
    element('p', { class: 'small' }, t('credentials.help')));
}

/**
 * The header field for a credential of this scheme: `{ header, scheme, variable }`. In samples, `variable` is the
 * environment variable with the credential.
 */
function credentialField(definition) {
  if (definition.type === 'apiKey') return { header: definition.name, scheme: '', variable: 'API_KEY' };
  if (definition.scheme === 'basic') return { header: 'authorization', scheme: 'Basic', variable: 'API_KEY' };
  return { header: 'authorization', scheme: 'Bearer', variable: 'TOKEN' };
}

/** The value of the header field with this credential. */
const fieldValue = ({ scheme }, secret) => (scheme === 'Basic' ? `Basic ${btoa(`key:${secret}`)}`
  : `${scheme} ${secret}`.trim());

/** The form that calls an operation. */
export function tryIt(document, method, path, operation) {
  const id = operation.operationId;
  const schemes = document.components?.securitySchemes ?? {};
  const parameters = (operation.parameters ?? []).map((each) => resolve(each).schema);
  const contents = Object.entries(operation.requestBody?.content ?? {});
  const inputs = parameters.map((parameter) => parameterInput(id, parameter));
  const credential = credentialInput(id, operation, schemes);
  const body = contents.length ? bodyInput(id, contents, operation.requestBody.required) : null;
  const checked = [...inputs, ...(body ? [body] : [])];
  const code = samples(id, call);
  const result = element('div', { class: 'result', 'aria-live': 'polite' });
  const send = element('button', { type: 'submit' }, t('call.send'));
  const form = element('form', { class: 'try', novalidate: true }, inputs.map((each) => each.element),
    credential?.element, body?.element,
    element('div', { class: 'actions' }, send));
  form.addEventListener('input', () => code.update());
  form.addEventListener('change', () => code.update());
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const wrong = checked.filter((each) => !each.check());
    if (wrong.length) {
      wrong[0].control.focus();
      return;
    }
    if (isDestructive(method, path) && !await confirmed(method, path, operation.summary)) return;
    send.disabled = true;
    try {
      await perform();
    } catch (error) {
      result.replaceChildren(element('p', { class: 'note bad' }, t('call.not_sent', { reason: error.message })));
    } finally {
      send.disabled = false;
    }
  });

  /** The call as the fields describe it, without its credential. A parameter without a value stays in the path. */
  function call() {
    const query = new URLSearchParams();
    const headers = [];
    let target = path;
    for (const { parameter, value } of inputs) {
      const text = value();
      if (text === '') continue;
      if (parameter.in === 'path') target = target.replace(`{${parameter.name}}`, encodeURIComponent(text));
      else if (parameter.in === 'query') query.append(parameter.name, text);
      else if (parameter.in === 'header') headers.push([parameter.name, text]);
    }
    if (query.size) target += `?${query}`;
    const server = document.servers?.[0]?.url ?? location.origin;
    return {
      method: method.toUpperCase(), target, url: `${server}${target}`, headers,
      credential: credential?.field() ?? null, body: body?.content() ?? null,
    };
  }

  async function perform() {
    const { target, headers: given, body: content } = call();
    const headers = { accept: 'application/json', ...Object.fromEntries(given) };
    const header = credential?.header();
    if (header) headers[header[0]] = header[1];
    let data = content?.text;
    if (content?.fields && content.mediaType.startsWith('multipart/')) {
      // The browser sets the media type, because it chooses the boundary.
      data = new FormData();
      content.fields.forEach(([name, value]) => data.append(name, value));
    } else if (content) {
      headers['content-type'] = content.mediaType;
      if (content.fields) data = new URLSearchParams(content.fields).toString();
    }
    const began = performance.now();
    try {
      const response = await fetch(target, { method: method.toUpperCase(), headers, body: data, credentials: 'omit',
        cache: 'no-store' });
      const text = await response.text();
      show(response, text, Math.round(performance.now() - began));
    } catch (error) {
      result.replaceChildren(element('p', { class: 'note bad' }, t('call.no_response', { reason: error.message })));
    }
  }

  function show(response, text, took) {
    const mediaType = response.headers.get('content-type') ?? '';
    const tone = response.ok ? 'good' : 'bad';
    const names = [...response.headers].filter(([name]) => !['date', 'connection'].includes(name));
    const received = response.ok ? issued(text) : null;
    result.replaceChildren(...[
      element('p', { class: 'status' }, element('span', { class: `code ${tone}` }, `${response.status}`),
        ` ${response.statusText} · ${took} ms`),
      element('details', {}, element('summary', {}, t('call.headers')),
        element('pre', { tabindex: '0' }, names.map(([name, value]) => `${name}: ${value}`).join('\n'))),
      received && credentialButton(received),
      text ? block(pretty(text, mediaType)) : element('p', { class: 'small' }, t('docs.no_body')),
    ].filter(Boolean));
  }

  return element('div', {}, form, code.element, result);
}

/** A button that takes the credential of a response for the calls of this page. */
function credentialButton({ kind, secret, label }) {
  const status = element('span', { class: 'small', role: 'status' });
  const button = element('button', { type: 'button', class: 'quiet' }, t(label));
  button.addEventListener('click', () => {
    store(kind, secret);
    status.textContent = ` ${t('call.used')}`;
  });
  return element('p', { class: 'use' }, button, status);
}

/** The call as code, in a language that the reader chooses; all forms of the page show the same one. */
function samples(id, call) {
  const code = element('code', {});
  const whole = element('details', { class: 'samples' }, element('summary', {}, t('call.code')));
  const tabs = LANGUAGES.map(([name]) => element('button', { type: 'button', role: 'tab', id: `${id}-tab-${name}`,
    'aria-controls': `${id}-code` }, name));
  const panel = element('div', { class: 'block', role: 'tabpanel', id: `${id}-code` },
    copyButton(() => code.textContent), element('pre', { tabindex: '0' }, code));
  const choose = (at, focus) => {
    chosen = (at + LANGUAGES.length) % LANGUAGES.length;
    update();
    if (focus) tabs[chosen].focus();
  };
  tabs.forEach((tab, at) => {
    tab.addEventListener('click', () => choose(at));
    tab.addEventListener('keydown', (event) => {
      const step = event.key === 'ArrowRight' ? 1 : -1;
      if (step === 1 || event.key === 'ArrowLeft') choose(at + step, true);
    });
  });
  whole.append(element('div', { role: 'tablist', class: 'tabs', 'aria-label': t('call.languages') }, tabs), panel,
    element('p', { class: 'small' }, t('call.code_help')));
  whole.addEventListener('toggle', () => update());

  function update() {
    if (!whole.open) return;
    tabs.forEach((tab, at) => {
      tab.setAttribute('aria-selected', String(at === chosen));
      tab.tabIndex = at === chosen ? 0 : -1;
    });
    panel.setAttribute('aria-labelledby', tabs[chosen].id);
    code.textContent = LANGUAGES[chosen][1](call());
  }

  return { element: whole, update };
}

/** The place of the chosen language. */
let chosen = 0;

/** Asks before a call that cannot be undone. */
function confirmed(method, path, summary) {
  const name = `${method.toUpperCase()} ${path}`;
  const cancel = element('button', { type: 'button', class: 'quiet' }, t('docs.cancel'));
  const send = element('button', { type: 'button', class: 'bad' }, t('call.confirm'));
  const dialog = element('dialog', { 'aria-labelledby': 'question' },
    element('h2', { id: 'question' }, t('call.question', { name })),
    element('p', {}, element('span', { lang: 'en' }, summary), ' — ', t('call.final')),
    element('div', { class: 'actions' }, cancel, send));
  document.body.append(dialog);
  return new Promise((answer) => {
    let agreed = false;
    cancel.addEventListener('click', () => dialog.close());
    send.addEventListener('click', () => { agreed = true; dialog.close(); });
    dialog.addEventListener('close', () => { dialog.remove(); answer(agreed); });
    dialog.showModal();
    cancel.focus();
  });
}

/** Shows the problem of a field, or removes it if `problem` is empty. Returns true if there is none. */
function mark(control, message, problem) {
  message.textContent = problem;
  message.hidden = !problem;
  if (problem) control.setAttribute('aria-invalid', 'true');
  else control.removeAttribute('aria-invalid');
  return !problem;
}

/** Text in a frame that can be copied. */
export function block(text) {
  return element('div', { class: 'block' }, copyButton(() => text),
    element('pre', { tabindex: '0' }, element('code', {}, text)));
}

function parameterInput(id, parameter) {
  const name = `${id}-${parameter.in}-${parameter.name}`;
  const { schema } = resolve(parameter.schema ?? {});
  const options = schema.enum?.filter((value) => value !== null);
  const control = options
    ? element('select', { id: name },
      element('option', { value: '' }, t(parameter.required ? 'call.choose' : 'call.left_out')),
      options.map((value) => element('option', {}, value)))
    : element('input', { id: name, type: 'text', autocomplete: 'off', spellcheck: 'false',
      placeholder: typeWords(parameter.schema ?? {}) });
  const message = element('p', { class: 'wrong', id: `${name}-wrong`, hidden: true });
  control.setAttribute('aria-describedby', message.id);
  if (parameter.required) control.setAttribute('aria-required', 'true');
  const whole = element('div', { class: 'pair' },
    element('label', { for: name }, element('code', {}, parameter.name),
      ' ',
      element('span', { class: 'small' }, [t(`place.${parameter.in}`), parameter.required ? t('schema.required') : null]
        .filter(Boolean).join(t('schema.comma')))), control, message);
  const value = () => control.value.trim();
  const check = () => mark(control, message,
    parameter.required && !value() ? t('call.required', { name: parameter.name }) : '');
  control.addEventListener('input', () => { if (value()) mark(control, message, ''); });
  return { element: whole, control, parameter, value, check };
}

function credentialInput(id, operation, schemes) {
  const named = (operation.security ?? []).flatMap((requirement) => Object.keys(requirement));
  const names = [...new Set(named)].filter((name) => schemes[name]);
  if (!names.length) return null;
  const optional = (operation.security ?? []).some((requirement) => !Object.keys(requirement).length);
  const select = element('select', { id: `${id}-scheme` },
    optional ? element('option', { value: '' }, t('call.no_credential')) : null,
    names.map((name) => element('option', { value: name }, name.replaceAll('_', ' '))));
  const input = element('input', { id: `${id}-secret`, type: 'password', autocomplete: 'off', spellcheck: 'false',
    'aria-label': t('call.credential'), placeholder: t('call.default_credential') });
  const fallback = (name) => (schemes[name].type === 'apiKey' || schemes[name].scheme === 'basic' ? stored.key
    : stored.bearer);
  const whole = element('div', { class: 'pair' }, element('label', { for: select.id }, t('call.credential')),
    element('div', { class: 'row' }, select, input));
  return {
    element: whole,
    header() {
      if (!select.value) return null;
      const secret = input.value.trim() || fallback(select.value);
      const field = credentialField(schemes[select.value]);
      return secret ? [field.header, fieldValue(field, secret)] : null;
    },
    field: () => (select.value ? credentialField(schemes[select.value]) : null),
  };
}

function bodyInput(id, contents, required) {
  const select = element('select', { 'aria-label': t('call.media_type') },
    contents.map(([mediaType]) => element('option', {}, mediaType)));
  const area = element('textarea', { id: `${id}-body`, class: 'mono', spellcheck: 'false', autocomplete: 'off',
    autocapitalize: 'none' });
  const hint = element('p', { class: 'small' });
  const fill = () => {
    const [mediaType, media] = contents[select.selectedIndex];
    const given = media.example ?? Object.values(media.examples ?? {})[0]?.value ?? sample(media.schema ?? {});
    area.value = JSON.stringify(given, null, 2);
    area.rows = Math.min(18, area.value.split('\n').length + 1);
    hint.textContent = /json/.test(mediaType) ? '' : t('call.form_help');
  };
  select.addEventListener('change', fill);
  fill();
  const message = element('p', { class: 'wrong', id: `${id}-body-wrong`, hidden: true });
  area.setAttribute('aria-describedby', message.id);
  const whole = element('div', { class: 'pair' },
    element('label', { for: area.id }, t('docs.body')),
    contents.length > 1 ? select : element('span', { class: 'small' }, contents[0][0]), area, message, hint);

  /** The fields that the body must have and that are empty. */
  function missing(value) {
    const { schema } = resolve(contents[select.selectedIndex][1].schema ?? {});
    return (schema.required ?? []).filter((name) => value?.[name] === undefined || value[name] === '');
  }

  function check() {
    const text = area.value.trim();
    if (!text) return mark(area, message, required ? t('call.body_required') : '');
    let value;
    try {
      value = JSON.parse(text);
    } catch (error) {
      return mark(area, message, t('call.not_json', { reason: error.message }));
    }
    const empty = missing(value);
    return mark(area, message, empty.length ? t('call.not_empty', { names: empty.join(t('schema.comma')) }) : '');
  }

  return {
    element: whole,
    control: area,
    check,
    /** The body as it is sent: text, or the fields of a form. */
    content() {
      const mediaType = contents[select.selectedIndex][0];
      const text = area.value;
      if (!text.trim()) return null;
      if (/json/.test(mediaType)) return { mediaType, text };
      try {
        const pairs = Object.entries(JSON.parse(text)).filter(([, value]) => value !== null && value !== '');
        return { mediaType, fields: pairs.map(([name, value]) => [name, String(value)]) };
      } catch {
        // Shown by `check`, before anything is sent.
        return { mediaType, text };
      }
    },
  };
}

// A form to call an operation: parameters, body and credential, with the response below. Credentials stay in this page and are
// lost when it closes.

import { copyButton, element } from './element.js';
import { resolve, sample, typeWords } from './schema.js';

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

/** The two fields for credentials at the head of the page. */
export function credentials() {
  const field = (kind, label, hint) => {
    const id = `stored-${kind}`;
    const input = element('input', { id, type: 'password', autocomplete: 'off', spellcheck: 'false', placeholder: hint,
      oninput: (event) => { stored[kind] = event.target.value.trim(); } });
    return element('div', { class: 'pair' }, element('label', { for: id }, label), input);
  };
  return element('section', { class: 'credentials', 'aria-labelledby': 'credentials' },
    element('h2', { id: 'credentials' }, 'Credentials'),
    element('div', { class: 'row' }, field('bearer', 'Bearer token', 'eyJ…'), field('key', 'API key', 'sk_…')),
    element('p', { class: 'small' }, 'Used only for the requests that you send from this page. They are not stored.'));
}

/** The header field that carries a credential of this scheme. */
function credentialHeader(scheme, definition, secret) {
  if (definition.type === 'apiKey') return [definition.name, secret];
  if (definition.scheme === 'basic') return ['authorization', `Basic ${btoa(`key:${secret}`)}`];
  return ['authorization', `Bearer ${secret}`];
}

/** The form that calls an operation. */
export function tryIt(document, method, path, operation) {
  const id = operation.operationId;
  const schemes = document.components?.securitySchemes ?? {};
  const parameters = (operation.parameters ?? []).map((each) => resolve(each).schema);
  const contents = Object.entries(operation.requestBody?.content ?? {});
  const inputs = parameters.map((parameter) => parameterInput(id, parameter));
  const credential = credentialInput(id, operation, schemes);
  const body = contents.length ? bodyInput(id, contents) : null;
  const result = element('div', { class: 'result', 'aria-live': 'polite' });
  const send = element('button', { type: 'submit', class: 'send' }, 'Send');
  const form = element('form', { class: 'try', novalidate: true }, inputs.map((each) => each.element), credential?.element, body?.element,
    element('div', { class: 'actions' }, send));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    send.disabled = true;
    await perform();
    send.disabled = false;
  });

  async function perform() {
    const query = new URLSearchParams();
    const headers = { accept: 'application/json' };
    let target = path;
    for (const { parameter, value } of inputs) {
      const text = value();
      if (parameter.in === 'path') target = target.replace(`{${parameter.name}}`, encodeURIComponent(text));
      else if (text !== '' && parameter.in === 'query') query.append(parameter.name, text);
      else if (text !== '' && parameter.in === 'header') headers[parameter.name] = text;
    }
    if (query.size) target += `?${query}`;
    const header = credential?.header();
    if (header) headers[header[0]] = header[1];
    const content = body?.content();
    if (content?.mediaType) headers['content-type'] = content.mediaType;
    const began = performance.now();
    try {
      const response = await fetch(target, { method: method.toUpperCase(), headers, body: content?.data, credentials: 'omit', cache: 'no-store' });
      const text = await response.text();
      show(response, text, Math.round(performance.now() - began));
    } catch (error) {
      result.replaceChildren(element('p', { class: 'note bad' }, `No response: ${error.message}.`));
    }
  }

  function show(response, text, took) {
    const mediaType = response.headers.get('content-type') ?? '';
    const mood = response.ok ? 'good' : 'bad';
    const names = [...response.headers].filter(([name]) => !['date', 'connection'].includes(name));
    result.replaceChildren(
      element('p', { class: 'status' }, element('span', { class: `code ${mood}` }, `${response.status}`), ` ${response.statusText} · ${took} ms`),
      element('details', {}, element('summary', {}, 'Header fields'), element('pre', { tabindex: '0' }, names.map(([name, value]) => `${name}: ${value}`).join('\n'))),
      text ? block(pretty(text, mediaType)) : element('p', { class: 'small' }, 'No body.'));
  }

  return element('div', {}, form, result);
}

/** Text in a frame that can be copied. */
export function block(text) {
  return element('div', { class: 'block' }, copyButton(() => text), element('pre', { tabindex: '0' }, element('code', {}, text)));
}

function parameterInput(id, parameter) {
  const name = `${id}-${parameter.in}-${parameter.name}`;
  const { schema } = resolve(parameter.schema ?? {});
  const options = schema.enum?.filter((value) => value !== null);
  const control = options
    ? element('select', { id: name }, element('option', { value: '' }, parameter.required ? 'choose' : 'left out'), options.map((value) => element('option', {}, value)))
    : element('input', { id: name, type: 'text', autocomplete: 'off', spellcheck: 'false', placeholder: typeWords(parameter.schema ?? {}) });
  const where = parameter.in === 'query' ? 'query' : parameter.in === 'header' ? 'header field' : 'path';
  const whole = element('div', { class: 'pair' },
    element('label', { for: name }, element('code', {}, parameter.name), element('span', { class: 'small' }, ` ${where}${parameter.required ? ', required' : ''}`)), control);
  return { element: whole, parameter, value: () => control.value.trim() };
}

function credentialInput(id, operation, schemes) {
  const names = [...new Set((operation.security ?? []).flatMap((requirement) => Object.keys(requirement)))].filter((name) => schemes[name]);
  if (!names.length) return null;
  const optional = (operation.security ?? []).some((requirement) => !Object.keys(requirement).length);
  const select = element('select', { id: `${id}-scheme` },
    optional ? element('option', { value: '' }, 'none') : null, names.map((name) => element('option', { value: name }, name.replaceAll('_', ' '))));
  const input = element('input', { id: `${id}-secret`, type: 'password', autocomplete: 'off', spellcheck: 'false', 'aria-label': 'Credential', placeholder: 'default: from the top of the page' });
  const fallback = (name) => (schemes[name].type === 'apiKey' || schemes[name].scheme === 'basic' ? stored.key : stored.bearer);
  const whole = element('div', { class: 'pair' }, element('label', { for: select.id }, 'Credential'), element('div', { class: 'row' }, select, input));
  return {
    element: whole,
    header() {
      if (!select.value) return null;
      const secret = input.value.trim() || fallback(select.value);
      return secret ? credentialHeader(select.value, schemes[select.value], secret) : null;
    },
  };
}

function bodyInput(id, contents) {
  const select = element('select', { 'aria-label': 'Media type' }, contents.map(([mediaType]) => element('option', {}, mediaType)));
  const area = element('textarea', { id: `${id}-body`, spellcheck: 'false', autocomplete: 'off', autocapitalize: 'none' });
  const hint = element('p', { class: 'small' });
  const fill = () => {
    const [mediaType, media] = contents[select.selectedIndex];
    const given = media.example ?? Object.values(media.examples ?? {})[0]?.value ?? sample(media.schema ?? {});
    area.value = JSON.stringify(given, null, 2);
    area.rows = Math.min(18, area.value.split('\n').length + 1);
    hint.textContent = /json/.test(mediaType) ? '' : 'Enter JSON; it is sent as a form.';
  };
  select.addEventListener('change', fill);
  fill();
  const whole = element('div', { class: 'pair' },
    element('label', { for: area.id }, 'Body'), contents.length > 1 ? select : element('span', { class: 'small' }, contents[0][0]), area, hint);
  return {
    element: whole,
    content() {
      const mediaType = contents[select.selectedIndex][0];
      if (/json/.test(mediaType) || !area.value.trim()) return { mediaType, data: area.value };
      const pairs = Object.entries(JSON.parse(area.value)).filter(([, value]) => value !== null && value !== '');
      if (mediaType.startsWith('multipart/')) {
        const form = new FormData();
        pairs.forEach(([name, value]) => form.append(name, value));
        // The browser sets the media type, because it chooses the boundary.
        return { mediaType: null, data: form };
      }
      return { mediaType, data: new URLSearchParams(pairs).toString() };
    },
  };
}

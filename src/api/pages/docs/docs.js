// The API reference: the operations of this server, grouped by task, and then by API. Each has an anchor (its operation
// id) and can be searched for. The page begins with an index of the OpenAPI document; the details of an operation are
// loaded when it is opened. The texts of the document are English in every language of the page.

import { LANGUAGES } from '../base/language.js';
import { element } from './element.js';
import { block, credentials, tryIt } from './call.js';
import { ENGLISH, fieldLine, fields, inline, prose, resolve, sample, setDocument } from './schema.js';
import { grouped, matches, terms } from './tasks.js';
import { chooseLanguage, currentLanguage, startWords, t } from './words.js';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
const { base, service } = document.body.dataset;
const content = document.getElementById('content');
const nav = document.getElementById('nav');
const menu = document.getElementById('menu');
const search = document.getElementById('search');

/** The groups that are shown. */
let groups = [];

start();

async function start() {
  await startWords();
  drawFrame();
  let api;
  try {
    api = documentOf(await load('index.json'));
  } catch (error) {
    content.replaceChildren(element('p', { class: 'note bad' }, t('docs.not_loaded', { reason: error.message })));
    return;
  }
  setDocument(api);
  draw(api);
  search.addEventListener('input', () => filter(search.value));
  document.addEventListener('keydown', keys);
  menu.addEventListener('click', () => fold(menu.getAttribute('aria-expanded') === 'true'));
  nav.addEventListener('click', (event) => { if (event.target.closest('a')) fold(true); });
  addEventListener('hashchange', go);
}

async function load(path) {
  const answer = await fetch(`${base}/docs/${path}`);
  if (!answer.ok) throw new Error(t('docs.status', { status: answer.status }));
  return answer.json();
}

/** An OpenAPI document of the index, which has the fields of each operation in a list to be small. */
function documentOf({ operations, securitySchemes, ...api }) {
  const paths = {};
  for (const [method, path, operationId, tags, summary, description, deprecated] of operations) {
    paths[path] = { ...paths[path], [method]: { operationId, tags, summary, description, deprecated } };
  }
  return { ...api, paths, components: { schemas: {}, securitySchemes } };
}

/** The texts around the operations. */
function drawFrame() {
  document.title = `${service} · ${t('docs.title')}`;
  document.querySelector('.skip').textContent = t('docs.skip');
  document.querySelector('label[for="search"]').textContent = t('docs.search');
  search.placeholder = t('docs.search_short');
  menu.textContent = t('docs.contents');
  nav.setAttribute('aria-label', t('docs.operations'));
}

function draw(api) {
  groups = groupsOf(api);
  content.replaceChildren(intro(api), credentials(), ...groups.map((group) => section(api, group)),
    element('p', { class: 'nothing', hidden: true, role: 'status' }, t('docs.nothing')));
  nav.replaceChildren(...groups.map(contents));
  filter(search.value);
  go();
}

/** The choice of a language, which draws the page anew. */
function languages(api) {
  const choose = async (tag) => {
    await chooseLanguage(tag);
    drawFrame();
    draw(api);
    document.querySelector(`.languages [lang="${tag}"]`).focus();
  };
  return element('div', { class: 'languages', role: 'group', 'aria-label': t('docs.language') },
    LANGUAGES.map(([tag, name]) => element('button', { type: 'button', class: 'link', lang: tag,
      'aria-pressed': String(tag === currentLanguage()), onclick: () => choose(tag) }, name)));
}

function fold(closed) {
  menu.setAttribute('aria-expanded', String(!closed));
  nav.classList.toggle('open', !closed);
}

/** The tag of Signet's own API, whose operations are grouped by task. */
const OWN = 'native';

/** The operations by task and by API. An operation that two APIs share belongs to the first. */
function groupsOf(api) {
  const all = Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ path, method, operation: item[method] })));
  const found = grouped(api.tags, all, { own: OWN, base });
  for (const group of found) {
    group.name ??= t(`task.${group.id}`);
    for (const each of group.operations) {
      const { operationId, summary, description, tags } = each.operation;
      each.id = operationId;
      const words = [each.method, each.path, operationId, summary, description, tags[0], group.name];
      each.words = words.join(' ').toLowerCase();
    }
  }
  return found;
}

function intro(api) {
  return element('section', { class: 'intro', id: 'top' },
    element('h1', {}, `${api.info.title} `, element('span', { class: 'version' }, api.info.version)),
    languages(api),
    element('p', { class: 'lead', ...ENGLISH }, api.info.summary ?? ''),
    prose(api.info.description),
    element('dl', {},
      element('dt', {}, t('docs.base_url')),
      element('dd', {}, element('code', {}, api.servers?.[0]?.url ?? location.origin)),
      element('dt', {}, t('docs.document')),
      element('dd', {}, element('a', { href: `${base}/openapi.json` }, 'openapi.json'), ` (OpenAPI ${api.openapi})`)));
}

function contents(group) {
  group.list = element('ul', {}, group.operations.map((each) => {
    each.entry = element('li', {}, element('a', { href: `#${each.id}`, title: each.operation.summary },
      element('span', { class: `method ${each.method}` }, short(each.method)),
      element('span', { class: 'path' }, breakable(each.path))));
    return each.entry;
  }));
  group.nav = element('section', {}, element('h2', {}, element('a', { href: `#${group.id}` }, group.name)), group.list);
  return group.nav;
}

const short = (method) => (method === 'delete' ? 'del' : method);

/** A path with line-break opportunities after its slashes. */
function breakable(path) {
  return path.split(/(?<=\/)/).flatMap((piece) => [piece, element('wbr')]);
}

function section(api, group) {
  group.element = element('section', { class: 'dialect', id: group.id },
    element('h2', {}, group.name), prose(group.description), group.operations.map((each) => card(api, each)));
  return group.element;
}

function card(api, each) {
  const { method, path, operation } = each;
  each.element = element('details', { class: 'operation', id: each.id },
    element('summary', {},
      element('span', { class: `method ${method}` }, method),
      element('span', { class: 'path' }, breakable(path)),
      element('span', { class: 'what' }, element('span', ENGLISH, inline(operation.summary ?? '')),
        operation.deprecated ? [' ', element('span', { class: 'badge warn' }, t('docs.deprecated'))] : null)));
  each.element.addEventListener('toggle', () => {
    if (!each.element.open) return;
    drawDetails(api, each);
    // The address links to the open operation, without a new history entry.
    if (location.hash !== `#${each.id}`) history.replaceState(null, '', `#${each.id}`);
    mark(each.id);
  });
  return each.element;
}

/** Draws an operation that is opened for the first time; its details are loaded once. */
async function drawDetails(api, each) {
  if (each.inner) return;
  each.inner = element('div', { class: 'inner' });
  each.element.append(each.inner);
  if (!each.operation.responses) {
    each.inner.append(element('p', { class: 'loading', role: 'status' }, t('docs.loading')));
    try {
      const { operation, schemas } = await load(`operations/${each.id}`);
      Object.assign(each.operation, operation);
      Object.assign(api.components.schemas, schemas);
    } catch (error) {
      const again = () => {
        each.inner.remove();
        each.inner = null;
        drawDetails(api, each);
      };
      each.inner.replaceChildren(
        element('p', { class: 'note bad', role: 'alert' }, t('docs.not_loaded', { reason: error.message })),
        element('button', { type: 'button', class: 'quiet', onclick: again }, t('docs.retry')));
      return;
    }
  }
  each.inner.replaceChildren(...details(api, each).flat(Infinity).filter(Boolean));
}

function details(api, { method, path, operation }) {
  const parameters = (operation.parameters ?? []).map((each) => resolve(each).schema);
  const apis = operation.tags.join(t('schema.and'));
  return [
    prose(operation.description),
    operation.tags.length > 1 ? element('p', { class: 'small' }, t('docs.shared', { apis })) : null,
    security(api, operation),
    parameters.length ? [element('h3', {}, t('docs.parameters')), element('ul', { class: 'fields' },
      parameters.map((each) => fieldLine(each.name, each.schema ?? {}, { required: each.required,
        description: each.description, place: t(`place.${each.in}`) })))] : null,
    operation.requestBody ? requestBody(operation.requestBody) : null,
    element('h3', {}, t('docs.responses')), Object.entries(operation.responses)
      .map(([status, response]) => answer(status, resolve(response).schema)),
    element('h3', {}, t('docs.try')), tryIt(api, method, path, operation),
  ];
}

function security(api, operation) {
  const requirements = operation.security ?? [];
  if (!requirements.length) return element('p', { class: 'needs' }, t('docs.no_authentication'));
  const one = (requirement) => {
    const names = Object.keys(requirement);
    if (!names.length) return [t('docs.without')];
    const title = (name) => api.components.securitySchemes[name]?.description ?? '';
    return names.map((name) => element('span', { class: 'chip', title: title(name) }, name.replaceAll('_', ' ')));
  };
  return element('p', { class: 'needs' }, t('docs.authentication'), ' ',
    requirements.flatMap((requirement, at) => [at ? t('schema.or') : '', ...one(requirement)]));
}

function requestBody(body) {
  const contents = Object.entries(resolve(body).schema.content ?? {});
  const [, first] = contents[0] ?? [];
  const example = first ? first.example ?? Object.values(first.examples ?? {})[0]?.value ?? sample(first.schema ?? {})
    : null;
  return [element('h3', {}, t('docs.body')),
    element('p', { class: 'small' }, contents.map(([mediaType]) => mediaType).join(t('schema.or'))),
    element('div', { class: 'halves' }, fields(first?.schema ?? {}),
      example === null ? null : block(JSON.stringify(example, null, 2)))];
}

function answer(status, response) {
  const whole = element('details', { class: 'answer' },
    element('summary', {}, element('span', { class: `code ${status < 400 ? 'good' : 'bad'}` }, status), ' ',
      element('span', ENGLISH, inline(response.description ?? ''))));
  whole.addEventListener('toggle', () => {
    if (whole.open && whole.childElementCount === 1) whole.append(answerInner(response));
  });
  if (status.startsWith('2')) whole.open = true;
  return whole;
}

function answerInner(response) {
  const headers = Object.entries(response.headers ?? {});
  const contents = Object.entries(response.content ?? {});
  return element('div', { class: 'inner' },
    headers.length ? element('ul', { class: 'fields' }, headers.map(([name, header]) =>
      fieldLine(name, header.schema ?? {}, { description: header.description, place: t('place.header') }))) : null,
    contents.map(([mediaType, media]) => {
      const given = Object.values(media.examples ?? {});
      const shown = given.length ? given : [{ value: media.example ?? sample(media.schema ?? {}) }];
      const named = (each) => (each.summary && shown.length > 1
        ? element('p', { class: 'small', ...ENGLISH }, each.summary) : null);
      return [element('p', { class: 'small' }, mediaType), element('div', { class: 'halves' },
        fields(media.schema ?? {}),
        element('div', {}, shown.map((each) => [named(each), block(JSON.stringify(each.value, null, 2))])))];
    }),
    !headers.length && !contents.length ? element('p', { class: 'small' }, t('docs.no_body')) : null);
}

/** Shows the operations that the search finds, and the groups that have such operations. */
function filter(text) {
  const searched = terms(text);
  let count = 0;
  for (const group of groups) {
    let some = false;
    for (const each of group.operations) {
      const found = matches(each.words, searched);
      each.element.hidden = !found;
      each.entry.hidden = !found;
      some ||= found;
      count += found ? 1 : 0;
    }
    group.element.hidden = !some;
    group.nav.hidden = !some;
  }
  document.querySelector('.nothing').hidden = count > 0;
  document.getElementById('found').textContent = searched.length ? t('docs.found', { count }) : '';
  document.body.classList.toggle('searching', searched.length > 0);
}

/** `/` goes to the search, the arrows from there through the operations, Enter opens one, Escape goes back. */
function keys(event) {
  const { activeElement } = document;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(activeElement?.tagName ?? '');
  const all = [...content.querySelectorAll('.operation > summary')];
  const summaries = all.filter((summary) => summary.checkVisibility());
  const at = summaries.indexOf(activeElement);
  if (event.key === '/' && !typing) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (activeElement === search && (event.key === 'ArrowDown' || event.key === 'Enter')) {
    event.preventDefault();
    summaries[0]?.focus();
    if (event.key === 'Enter' && summaries[0]) summaries[0].parentElement.open = true;
  } else if (event.key === 'Escape' && (activeElement === search || at >= 0)) {
    search.value = '';
    search.dispatchEvent(new Event('input'));
    if (at >= 0) search.focus();
    else search.blur();
  } else if (at >= 0 && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) {
    event.preventDefault();
    const next = summaries[at + (event.key === 'ArrowDown' ? 1 : -1)];
    (next ?? (event.key === 'ArrowUp' ? search : activeElement)).focus();
  }
}

/** Opens the operation or section that the address names. */
function go() {
  // Ids need no escapes.
  const id = location.hash.slice(1);
  const found = groups.flatMap((group) => group.operations).find((each) => each.id === id);
  if (found) {
    if (found.element.hidden) {
      search.value = '';
      filter('');
    }
    found.element.open = true;
    found.element.scrollIntoView();
    found.element.querySelector('summary').focus({ preventScroll: true });
  } else if (id) {
    document.getElementById(id)?.scrollIntoView();
  }
  mark(id);
}

function mark(id) {
  for (const link of nav.querySelectorAll('a')) {
    if (link.getAttribute('href') === `#${id}`) link.setAttribute('aria-current', 'true');
    else link.removeAttribute('aria-current');
  }
}

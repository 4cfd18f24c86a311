// Renders schemas as lists of fields with types, limits and descriptions, and makes example values for schemas without
// examples.

import { element } from './element.js';
import { t } from './words.js';

/** The language of the document's own texts, on pages in another one. */
export const ENGLISH = { lang: 'en' };

let root = {};

/** Sets the document in which references are resolved. */
export function setDocument(document) {
  root = document;
}

/** Resolves a reference to its schema and name. */
export function resolve(schema) {
  if (!schema?.$ref) return { schema: schema ?? {}, name: null };
  const keys = schema.$ref.slice(2).split('/').map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  const found = keys.reduce((value, key) => value?.[key], root);
  const name = schema.$ref.split('/').pop();
  return { schema: { ...found, ...(schema.description ? { description: schema.description } : {}) }, name };
}

/** Renders paragraphs of the document with `code` and **strong**. */
export function prose(text) {
  if (!text) return [];
  return text.split(/\n{2,}/).map((paragraph) => element('p', ENGLISH, inline(paragraph.replaceAll('\n', ' '))));
}

export function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((piece) => {
    if (piece.startsWith('`') && piece.length > 2) return element('code', {}, piece.slice(1, -1));
    if (piece.startsWith('**') && piece.length > 4) return element('strong', {}, piece.slice(2, -2));
    return piece;
  });
}

const variants = (schema) => schema.oneOf ?? schema.anyOf;
const isNull = (schema) => schema?.type === 'null';

/** A short name of the type. */
export function typeWords(given) {
  const { schema, name } = resolve(given);
  if (schema.enum?.length === 1) return JSON.stringify(schema.enum[0]);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (variants(schema)) return variants(schema).map(typeWords).join(t('schema.or'));
  if (schema.allOf) return schema.allOf.map(typeWords).join(t('schema.and'));
  const types = [schema.type ?? (schema.properties ? 'object' : t('schema.anything'))].flat();
  return types.map((type) => {
    if (type === 'array') return t('schema.list', { type: typeWords(schema.items ?? {}) });
    if (type === 'object' && name) return name.split('.').pop();
    if (type === 'string' && schema.format) return schema.format;
    return type;
  }).join(t('schema.or'));
}

function bounds(schema) {
  const parts = [];
  if (schema.enum?.length > 1) {
    const values = schema.enum.filter((value) => value !== null).map((value) => JSON.stringify(value));
    parts.push(t('schema.one_of', { values: values.join(t('schema.comma')) }));
  }
  const limits = [
    [schema.minLength, schema.maxLength, 'schema.characters'], [schema.minItems, schema.maxItems, 'schema.items'],
    [schema.minimum, schema.maximum, null],
  ];
  for (const [least, most, unit] of limits) {
    if (least !== undefined || most !== undefined) parts.push(range(least, most, unit));
  }
  if (schema.pattern) parts.push(t('schema.pattern', { pattern: schema.pattern }));
  if (schema.default !== undefined) parts.push(t('schema.default', { value: JSON.stringify(schema.default) }));
  return parts.map((words) => element('span', { class: 'bound' }, words));
}

function range(least, most, unit) {
  const other = most === undefined ? t('schema.at_least', { least }) : t('schema.between', { least, most });
  const amount = least === undefined ? t('schema.at_most', { most }) : other;
  return unit ? t(unit, { amount }) : amount;
}

/** One line of a list of fields; `place` says where a parameter is. */
export function fieldLine(name, given, { required, description, place, depth = 0, seen = [] }) {
  const { schema } = resolve(given);
  const words = description ?? schema.description;
  return element('li', { class: 'field' },
    element('div', { class: 'head' },
      element('code', { class: 'name' }, name),
      element('span', { class: 'type' }, typeWords(given)),
      required ? element('span', { class: 'required' }, t('schema.required')) : null,
      place ? element('span', { class: 'type' }, place) : null),
    words ? element('div', { class: 'words', ...ENGLISH }, inline(words.replaceAll('\n', ' '))) : null,
    element('div', { class: 'bounds' }, bounds(schema)),
    depth < 6 ? inside(given, depth + 1, seen) : null);
}

/** The fields of an object value, collapsed. */
function inside(given, depth, seen) {
  const { schema, name } = resolve(given);
  if (name && seen.includes(name)) return null;
  const known = name ? [...seen, name] : seen;
  if ([schema.type].flat().includes('array')) return inside(schema.items ?? {}, depth, known);
  const named = variants(schema)?.filter((each) => !isNull(each)) ?? [];
  if (named.length === 1) return inside(named[0], depth, known);
  if (!schema.properties && !named.length) return null;
  return element('details', { class: 'inside' }, element('summary', {}, t('schema.fields')),
    fields(given, depth, known));
}

/** A schema as a list of fields; required ones first. */
export function fields(given, depth = 0, seen = []) {
  const { schema, name } = resolve(given);
  const known = name ? [...seen, name] : seen;
  const parts = [];
  if (depth === 0 && schema.description) parts.push(...prose(schema.description));
  if (variants(schema)) {
    const each = variants(schema).filter((variant) => !isNull(variant));
    each.forEach((variant, at) => {
      parts.push(element('p', { class: 'or' }, t(at ? 'schema.another' : 'schema.either'), ' ',
        element('strong', {}, typeWords(variant))),
        fields(variant, depth + 1, known));
    });
    return element('div', { class: 'schema' }, parts);
  }
  if (schema.allOf) return element('div', { class: 'schema' }, schema.allOf.map((part) => fields(part, depth, known)));
  if ([schema.type].flat().includes('array') && !schema.properties) {
    parts.push(element('p', { class: 'or' }, t('schema.each_item')), fields(schema.items ?? {}, depth + 1, known));
    return element('div', { class: 'schema' }, parts);
  }
  const required = new Set(schema.required ?? []);
  const properties = Object.entries(schema.properties ?? {});
  properties.sort(([one], [other]) => required.has(other) - required.has(one));
  if (properties.length) {
    parts.push(element('ul', { class: 'fields' }, properties.map(([key, value]) =>
      fieldLine(key, value, { required: required.has(key), depth, seen: known }))));
  } else if (depth === 0 || !schema.description) {
    parts.push(element('p', { class: 'or' }, typeWords(given)), ...bounds(schema));
  }
  return element('div', { class: 'schema' }, parts);
}

/** An example for a schema: its own, or one built from its parts. */
export function sample(given, depth = 0) {
  const { schema } = resolve(given);
  if (schema.examples?.length) return schema.examples[0];
  if (schema.example !== undefined) return schema.example;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  if (schema.default !== undefined) return schema.default;
  if (depth > 6) return null;
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map((part) => sample(part, depth + 1)));
  if (variants(schema)) return sample(variants(schema).find((variant) => !isNull(variant)) ?? {}, depth + 1);
  const type = [schema.type].flat().find((each) => each !== 'null') ?? (schema.properties ? 'object' : undefined);
  if (type === 'object') {
    return Object.fromEntries(Object.entries(schema.properties ?? {})
      .map(([key, value]) => [key, sample(value, depth + 1)]));
  }
  if (type === 'array') return [sample(schema.items ?? {}, depth + 1)];
  if (type === 'integer' || type === 'number') return schema.minimum ?? 0;
  if (type === 'boolean') return true;
  if (schema.format === 'uuid') return '019a8b1c-2d3e-7f40-8a1b-2c3d4e5f6071';
  if (schema.format === 'date-time') return '2025-11-14T14:25:20.123Z';
  if (schema.format === 'email') return 'zoe@example.org';
  return type === 'string' ? 'text' : null;
}

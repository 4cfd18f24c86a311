// Renders schemas as lists of fields with types, limits and descriptions, and makes example values for schemas without
// examples.

import { element } from './element.js';

let root = {};

/** Sets the document in which references are resolved. */
export function within(document) {
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

/** Renders paragraphs with `code` and **strong**. */
export function prose(text, name = 'p') {
  if (!text) return [];
  return text.split(/\n{2,}/).map((paragraph) => element(name, {}, inline(paragraph.replaceAll('\n', ' '))));
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
  if (variants(schema)) return variants(schema).map(typeWords).join(' or ');
  if (schema.allOf) return schema.allOf.map(typeWords).join(' and ');
  const types = [schema.type ?? (schema.properties ? 'object' : 'anything')].flat();
  return types.map((type) => {
    if (type === 'array') return `list of ${typeWords(schema.items ?? {})}`;
    if (type === 'object' && name) return name.split('.').pop();
    if (type === 'string' && schema.format) return schema.format;
    return type;
  }).join(' or ');
}

function bounds(schema) {
  const parts = [];
  if (schema.enum?.length > 1) {
    const values = schema.enum.filter((value) => value !== null).map((value) => JSON.stringify(value));
    parts.push(`one of ${values.join(', ')}`);
  }
  const bounds = [
    [schema.minLength, schema.maxLength, 'characters'], [schema.minItems, schema.maxItems, 'items'],
    [schema.minimum, schema.maximum, ''],
  ];
  for (const [least, most, unit] of bounds) {
    if (least !== undefined || most !== undefined) parts.push(range(least, most, unit));
  }
  if (schema.pattern) parts.push(`matches ${schema.pattern}`);
  if (schema.default !== undefined) parts.push(`${JSON.stringify(schema.default)} by default`);
  return parts.map((words) => element('span', { class: 'bound' }, words));
}

function range(least, most, unit) {
  const other = most === undefined ? `at least ${least}` : `${least} to ${most}`;
  const words = least === undefined ? `at most ${most}` : other;
  return `${words} ${unit}`.trim();
}

/** One line of a list of fields. */
export function fieldLine(name, given, required, description, depth = 0, seen = []) {
  const { schema } = resolve(given);
  const words = description ?? schema.description;
  return element('li', { class: 'field' },
    element('div', { class: 'head' },
      element('code', { class: 'name' }, name),
      element('span', { class: 'type' }, typeWords(given)),
      required ? element('span', { class: 'required' }, 'required') : null),
    words ? element('div', { class: 'words' }, inline(words.replaceAll('\n', ' '))) : null,
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
  return element('details', { class: 'inside' }, element('summary', {}, 'Fields'), fields(given, depth, known));
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
      parts.push(element('p', { class: 'or' }, at ? 'or ' : 'either ', element('strong', {}, typeWords(variant))),
        fields(variant, depth + 1, known));
    });
    return element('div', { class: 'schema' }, parts);
  }
  if (schema.allOf) return element('div', { class: 'schema' }, schema.allOf.map((part) => fields(part, depth, known)));
  if ([schema.type].flat().includes('array') && !schema.properties) {
    parts.push(element('p', { class: 'or' }, 'a list, each item:'), fields(schema.items ?? {}, depth + 1, known));
    return element('div', { class: 'schema' }, parts);
  }
  const required = new Set(schema.required ?? []);
  const properties = Object.entries(schema.properties ?? {});
  properties.sort(([one], [other]) => required.has(other) - required.has(one));
  if (properties.length) {
    parts.push(element('ul', { class: 'fields' }, properties.map(([key, value]) =>
      fieldLine(key, value, required.has(key), undefined, depth, known))));
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

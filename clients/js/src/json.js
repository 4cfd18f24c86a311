// JSON objects, strict: what other implementations could read differently is refused. Knows nothing of tokens.

/** Objects and lists may be nested so deep, as in the other verifiers. */
const MAX_DEPTH = 127;

/** The longest text of a number that begins here. */
const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

/**
 * The members of objects whose number has the value of an integer, but is written with a fraction or an exponent, or as
 * minus zero. `JSON.parse` does not tell.
 * @type {WeakMap<object, Set<string>>}
 */
const unusual = new WeakMap();

/**
 * Parses a JSON object. Undefined if the text is none, if an object in it has two members of one name, if a text in it
 * has half of a character, or if it has a number that is too large or is nested too deep.
 * @param {string} json
 * @returns {Record<string, unknown> | undefined}
 */
export function parseObject(json) {
  try {
    const object = asObject(JSON.parse(json));
    if (object === undefined) return undefined;
    const { members, depth, names } = scan(json);
    if (depth > MAX_DEPTH || countMembers(object) !== members) return undefined;
    if (names.size > 0) unusual.set(object, names);
    return object;
  } catch {
    return undefined;
  }
}

/**
 * Returns true if a member is a whole number that all implementations read as the same, and is written as one.
 * @param {Record<string, unknown>} object  One that `parseObject` returned.
 * @param {string} name
 */
export function isInteger(object, name) {
  return Number.isSafeInteger(object[name]) && !unusual.get(object)?.has(name);
}

/**
 * @param {unknown} value
 * @returns {Record<string, unknown> | undefined}
 */
export function asObject(value) {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? /** @type {Record<string, unknown>} */ (value) : undefined;
}

/**
 * Finds the facts about a valid text that `JSON.parse` loses: the number of members, also of those with the same name,
 * and the names of the outermost object's members with an unusual number.
 * @param {string} json
 */
function scan(json) {
  let [depth, deepest, members] = [0, 0, 0];
  let [name, text] = ['', ''];
  /** @type {Set<string>} */
  const names = new Set();
  for (let at = 0; at < json.length; at += 1) {
    const character = json[at];
    if (character === '"') {
      const end = endOfText(json, at);
      text = json.slice(at, end + 1);
      at = end;
    } else if (character === '{' || character === '[') {
      depth += 1;
      deepest = Math.max(deepest, depth);
    } else if (character === '}' || character === ']') {
      depth -= 1;
    } else if (character === ':') {
      members += 1;
      if (depth === 1) name = JSON.parse(text);
    } else if (character === '-' || (character !== undefined && character >= '0' && character <= '9')) {
      NUMBER.lastIndex = at;
      const number = /** @type {RegExpExecArray} */ (NUMBER.exec(json))[0];
      if (depth === 1 && (number === '-0' || /[.eE]/.test(number))) names.add(name);
      at += number.length - 1;
    }
  }
  return { members, depth: deepest, names };
}

/**
 * The place of the quotation mark that ends the text which begins at `at`.
 * @param {string} json
 * @param {number} at
 */
function endOfText(json, at) {
  for (;;) {
    at = json.indexOf('"', at + 1);
    let begin = at;
    while (json[begin - 1] === '\\') begin -= 1;
    if ((at - begin) % 2 === 0) return at;
  }
}

/**
 * The number of members of all objects in a value.
 * @param {unknown} value
 * @returns {number}
 * @throws {TypeError} If a text has half of a character, which has no UTF-8 form, or a number is too large.
 */
function countMembers(value) {
  if (typeof value === 'string') {
    if (/\p{Surrogate}/u.test(value)) throw new TypeError('half of a character');
  } else if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError('a number is too large');
  } else if (typeof value === 'object' && value !== null) {
    let count = 0;
    for (const [name, member] of Object.entries(value)) count += countMembers(name) + countMembers(member);
    return Array.isArray(value) ? count : count + Object.keys(value).length;
  }
  return 0;
}

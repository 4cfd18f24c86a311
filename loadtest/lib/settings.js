// What can be said from outside: `k6 run -e NAME=VALUE`, or the environment. Read here and nowhere else, and refused here where it
// makes no sense. Knows nothing of requests.

/** A text, or what holds without one. An empty one is none. */
export function text(name, otherwise) {
  const given = __ENV[name];
  return given === undefined || given === '' ? otherwise : given;
}

/** One of some words. */
export function oneOf(name, words) {
  const given = text(name, words[0]);
  if (!words.includes(given)) throw new Error(`${name}=${given}: must be one of ${words.join(', ')}`);
  return given;
}

/** A number that is not below zero. */
export function number(name, otherwise) {
  const given = Number(text(name, otherwise));
  if (!(given >= 0 && given < Infinity)) throw new Error(`${name}=${__ENV[name]}: must be a number, and not below zero`);
  return given;
}

/** How many there are of something: one at least. */
export function count(name, otherwise) {
  const given = number(name, otherwise);
  if (!Number.isInteger(given) || given < 1) throw new Error(`${name}=${__ENV[name]}: must be a whole number, and at least 1`);
  return given;
}

/** A length of time as k6 writes it (90s, 15m, 1h30m), in whole seconds. */
export function seconds(name, otherwise) {
  const given = text(name, otherwise);
  const parts = given.match(/^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/);
  const [hours, minutes, rest] = (parts || []).slice(1).map((part) => Number(part || 0));
  const all = parts ? hours * 3600 + minutes * 60 + rest : 0;
  if (all < 1) throw new Error(`${name}=${given}: must be a length of time such as 90s, 15m or 1h30m`);
  return all;
}

/** Where Signet is. */
export const BASE_URL = text('BASE_URL', 'http://127.0.0.1:8000').replace(/\/+$/, '');

// The settings: `k6 run -e NAME=VALUE`, or the environment. Read and validated only here. Knows nothing of requests.

/** A text. An empty value counts as not set. */
export function text(name, fallback) {
  const value = __ENV[name];
  return value === undefined || value === '' ? fallback : value;
}

/** One of several words; the first is the default. */
export function oneOf(name, words) {
  const value = text(name, words[0]);
  if (!words.includes(value)) throw new Error(`${name}=${value}: must be one of ${words.join(', ')}`);
  return value;
}

/** A number, zero or more. */
export function number(name, fallback) {
  const value = Number(text(name, fallback));
  if (!(value >= 0 && value < Infinity)) throw new Error(`${name}=${__ENV[name]}: must be a number, zero or more`);
  return value;
}

/** A whole number, one or more. */
export function count(name, fallback) {
  const value = number(name, fallback);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name}=${__ENV[name]}: must be a whole number, one or more`);
  return value;
}

/** A duration in the notation of k6 (90s, 15m, 1h30m), in seconds. */
export function seconds(name, fallback) {
  const value = text(name, fallback);
  const parts = value.match(/^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/);
  const [hours, minutes, rest] = (parts || []).slice(1).map((part) => Number(part || 0));
  const total = parts ? hours * 3600 + minutes * 60 + rest : 0;
  if (total < 1) throw new Error(`${name}=${value}: must be a duration such as 90s, 15m or 1h30m`);
  return total;
}

/** The URL of Signet. */
export const BASE_URL = text('BASE_URL', 'http://127.0.0.1:8000').replace(/\/+$/, '');

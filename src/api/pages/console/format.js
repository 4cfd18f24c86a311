// Numbers and durations in the user's language.

import { language } from '../base/words.js';

/**
 * @param {number | null | undefined} value
 * @param {number} [digits]  significant ones
 * @returns {string} `–` if there is none
 */
export const number = (value, digits = 3) => (typeof value !== 'number' || !Number.isFinite(value) ? '–'
  : new Intl.NumberFormat(language.value, value >= 1000
    ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: digits }).format(value));

/**
 * @param {number | null | undefined} value
 * @returns {string} milliseconds, or seconds above a thousand; `–` if there is none
 */
export function milliseconds(value) {
  if (typeof value !== 'number' || !Number.isFinite(value)) return '–';
  return value >= 1000 ? `${number(value / 1000)}\u00a0s` : `${number(value)}\u00a0ms`;
}

/**
 * @param {number | null | undefined} share  from 0 to 1
 * @returns {string}
 */
export const percent = (share) => (typeof share !== 'number' ? '–'
  : new Intl.NumberFormat(language.value, { style: 'percent', maximumFractionDigits: 2 }).format(share));

/**
 * @param {number | null | undefined} seconds
 * @returns {string} in the largest unit that fits, such as `3 h`
 */
export function span(seconds) {
  if (typeof seconds !== 'number') return '–';
  /** @type {[number, string][]} */
  const units = [[86_400, 'day'], [3600, 'hour'], [60, 'minute'], [1, 'second']];
  const [length, unit] = units.find(([each]) => seconds >= each) ?? [1, 'second'];
  return new Intl.NumberFormat(language.value, { style: 'unit', unit, unitDisplay: 'short' })
    .format(Math.floor(seconds / length));
}

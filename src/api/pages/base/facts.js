// The facts about the server that it puts into the page: see `Facts` in src/api/pages/shell.rs.

/**
 * @typedef {object} HomeFacts
 * @property {string} issuer  `iss` of the tokens
 * @property {string | null} console  where the console is
 * @property {{ command: string, outbox: string | null }} [local]  on a server that only this machine reaches: the
 *   command that creates the first superuser, and the directory of mails that are not sent
 */

/**
 * @typedef {object} Facts
 * @property {string} service  the name of the service
 * @property {boolean} logo  there is a logo at `/pages/logo`
 * @property {boolean} registration  anyone may create an account
 * @property {{ min: number, max: number, common: boolean }} password  the rules for new passwords: the smallest and the
 *   largest number of characters, and whether common passwords are refused
 * @property {HomeFacts} [home]  on the page at `/` only
 */

const { base = '', facts = '{}', page = '' } = document.body.dataset;

/** The prefix of the native API, without a slash at the end. */
export const BASE = base;

/** Which page this is. */
export const PAGE = page;

/** @type {Facts} */
export const FACTS = JSON.parse(facts);

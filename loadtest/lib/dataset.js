// The data set that `signet seed --out` writes: users, sessions and API keys, and their assignment to virtual users.
//
// A refresh token is replaced at each use, and a reused one ends its session. So no two virtual users may share a
// session, and each must remember its newest tokens from one iteration to the next. Of n virtual users, number i owns
// sessions i, i + n, i + 2n and so on.

import { SharedArray } from 'k6/data';
import exec from 'k6/execution';
import { text } from './settings.js';

// The path is absolute, because k6 versions resolve relative paths differently. The default is decoded, because
// `import.meta.resolve` returns a URL and `open` takes a path.
const FILE = text('DATA', decodeURIComponent(import.meta.resolve('../data.json')));
if (!/^([a-z]+:)?[\\/]/i.test(FILE)) throw new Error(`DATA=${FILE}: must be an absolute path`);

function readFile() {
  try {
    return JSON.parse(open(FILE));
  } catch (error) {
    throw new Error(`no data set at ${FILE} (${error}): create one with \`signet seed --out FILE\`, and set DATA=FILE if it is elsewhere`);
  }
}

const read = (pick) => () => pick(readFile());

/** E-mail addresses of the users. */
export const users = new SharedArray('users', read((set) => set.users));

/** `user` (an index into `users`), `user_id`, `session_id`, `access_token`, `access_until`, `refresh_token`. */
export const sessions = new SharedArray('sessions', read((set) => set.sessions));

/** API keys. */
export const keys = new SharedArray('keys', read((set) => set.api_keys));

const passwords = new SharedArray('password', read((set) => [set.password]));

/** The password of every user. */
export const password = () => passwords[0];

/** A random item. */
export const randomItem = (items) => items[Math.floor(Math.random() * items.length)];

/**
 * A random user; of those without seeded sessions if there are any, because too many sign-ins would end a seeded
 * session.
 */
export function randomUser() {
  const owners = Math.min(sessions.length, users.length);
  const others = users.length - owners;
  return others > 0 ? users[owners + Math.floor(Math.random() * others)] : randomItem(users);
}

/** The session that `setup` refreshes to find out whether the data set was used before. No virtual user owns it. */
export const probeSession = () => sessions[sessions.length - 1];

/** The number of sessions that virtual users can own. */
export const usableSessions = () => sessions.length - 1;

// The sessions of this virtual user, and the index of the next one. Every virtual user has its own copy of this module.
let own;
let turn = 0;

/** The next session of this virtual user; undefined if none is left. `vus` is the total number of virtual users. */
export function nextSession(vus) {
  if (!own) {
    own = [];
    for (let index = exec.vu.idInTest - 1; index < usableSessions(); index += vus) {
      const { user_id, access_token, access_until, refresh_token } = sessions[index];
      own.push({ user: user_id, access: access_token, until: Date.parse(access_until), refresh: refresh_token });
    }
  }
  turn += 1;
  return own[turn % own.length];
}

/** Removes a session whose refresh token was refused. */
export function dropSession(session) {
  own = own.filter((other) => other !== session);
}

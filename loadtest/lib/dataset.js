// The file that `signet seed --out` writes: users, sessions and API keys, and which of them are whose.
//
// A refresh token is replaced at each use, and one that comes back ends its session: so no two virtual users may share a session,
// and what a virtual user got it must keep. Each owns every so-manieth, by its number, and remembers the newest tokens from one
// iteration to the next.

import { SharedArray } from 'k6/data';
import exec from 'k6/execution';
import { text } from './settings.js';

// Absolute, since what a relative path is relative to has changed between versions of k6.
// It is written as a URL is, and `open` takes it as a path.
const FILE = text('DATA', decodeURIComponent(import.meta.resolve('../data.json')));
if (!/^([a-z]+:)?[\\/]/i.test(FILE)) throw new Error(`DATA=${FILE}: must be an absolute path`);

function whole() {
  try {
    return JSON.parse(open(FILE));
  } catch (error) {
    throw new Error(`no data set at ${FILE} (${error}): make one by \`signet seed --out FILE\`, and say DATA=FILE if it is elsewhere`);
  }
}

const read = (pick) => () => pick(whole());

/** E-mail addresses. */
export const users = new SharedArray('users', read((set) => set.users));

/** `user` (a place in `users`), `user_id`, `session_id`, `access_token`, `access_until`, `refresh_token`. */
export const sessions = new SharedArray('sessions', read((set) => set.sessions));

/** API keys. */
export const keys = new SharedArray('keys', read((set) => set.api_keys));

const passwords = new SharedArray('password', read((set) => [set.password]));

/** Everybody's. */
export const password = () => passwords[0];

/** Any of them. */
export const any = (all) => all[Math.floor(Math.random() * all.length)];

/** Users who own none of the sessions come first: one who has too many loses the oldest, which is one of ours. */
export function anyUser() {
  const owners = Math.min(sessions.length, users.length);
  const others = users.length - owners;
  return others > 0 ? users[owners + Math.floor(Math.random() * others)] : any(users);
}

/** The session by whose refresh token `setup` finds out whether a run has used this file before. Nobody owns it. */
export const seal = () => sessions[sessions.length - 1];

/** How many sessions can be owned. */
export const shared = () => sessions.length - 1;

// The sessions of this virtual user, and whose turn it is. Every virtual user has a copy of this module.
let own;
let turn = 0;

/** The next of this virtual user's sessions; none if all are over. `vus` is how many virtual users there are in all. */
export function next(vus) {
  if (!own) {
    own = [];
    for (let at = exec.vu.idInTest - 1; at < shared(); at += vus) {
      const { user_id, access_token, access_until, refresh_token } = sessions[at];
      own.push({ user: user_id, access: access_token, until: Date.parse(access_until), refresh: refresh_token });
    }
  }
  turn += 1;
  return own[turn % own.length];
}

/** Owns a session no longer: its refresh token was refused, and will be again. */
export function forget(session) {
  own = own.filter((other) => other !== session);
}

// The mix of requests of mixed.js and soak.js; each activity is a scenario.

import { check } from 'k6';
import { dropSession, keys, nextSession, password, randomItem, randomUser } from './dataset.js';
import { exchangeKey, refresh, sendCode, signIn, signOut, useKey, verify } from './operations.js';
import { number } from './settings.js';
import { scenario } from './shapes.js';

/** The limit of the 99th percentile in milliseconds, by operation. */
export const LIMITS = {
  'sign-in': 1500,
  'sign-out': 100,
  refresh: 100,
  verify: 50,
  'send-code': 200,
  key: 50,
  'key-exchange': 100,
};

/**
 * Weight variable, default weight, exported function, expected seconds per iteration, and operations of each
 * activity.
 */
const ACTIVITIES = [
  ['SIGN_INS', 4, 'visit', 2, ['sign-in', 'verify', 'sign-out']],
  ['REFRESHES', 20, 'renew', 0.5, ['refresh']],
  ['VERIFIES', 66, 'present', 0.25, ['verify']],
  ['CODES', 2, 'code', 0.5, ['send-code']],
  ['KEYS', 8, 'key', 0.5, ['key', 'key-exchange']],
];

/** The scenarios and the limits of their operations. An activity with weight 0 is left out. */
export function day(load) {
  const activities = ACTIVITIES.map(([name, weight, ...rest]) => [number(name, weight), ...rest]).filter(([weight]) => weight > 0);
  const totalWeight = activities.reduce((sum, [weight]) => sum + weight, 0);
  if (totalWeight === 0) throw new Error('all weights are zero: set at least one');
  const scenarios = {};
  const limits = {};
  for (const [weight, exec, duration, operations] of activities) {
    scenarios[exec] = scenario(load, exec, weight / totalWeight, duration);
    for (const operation of operations) limits[operation] = LIMITS[operation];
  }
  return { scenarios, limits };
}

/** Refreshes one of this virtual user's sessions. A session that has ended is not tried again. */
export function refreshOwnSession(vus) {
  const session = nextSession(vus);
  if (!check(session, { 'refresh: a session is left': Boolean }, { operation: 'refresh' })) return undefined;
  const { response, ended } = refresh(session);
  if (ended) dropSession(session);
  return response;
}

/** Verifies one of this virtual user's access tokens, and refreshes it before it expires, as clients do. */
export function verifyOwnToken(vus) {
  const session = nextSession(vus);
  if (!check(session, { 'verify: a session is left': Boolean }, { operation: 'verify' })) return undefined;
  if (session.until < Date.now() + 30000 && refresh(session).ended) dropSession(session);
  return verify(session.access);
}

/** Signs in, verifies the token and signs out, so that sessions do not pile up in a long run. */
export function signInAndOut() {
  const { response, session } = signIn(randomUser(), password());
  if (session) {
    verify(session.access);
    signOut(session);
  }
  return response;
}

/** Requests a sign-in code. */
export const requestCode = () => sendCode(randomUser());

/** Exchanges an API key for a token, as a service does, and verifies the key, as a gateway does. */
export function useRandomKey() {
  const key = randomItem(keys);
  exchangeKey(key);
  return useKey(key);
}

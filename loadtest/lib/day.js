// A day in the life of a service that many use: what mixed.js and soak.js do, each activity a scenario of its own.

import { check } from 'k6';
import { any, anyUser, forget, keys, next, password } from './dataset.js';
import { exchangeKey, refresh, sendCode, signIn, signOut, useKey, verify } from './operations.js';
import { number } from './settings.js';
import { scenario } from './shapes.js';

/** In how many milliseconds 99 of 100 must be answered. */
export const LIMITS = {
  'sign-in': 1500,
  'sign-out': 100,
  refresh: 100,
  verify: 50,
  'send-code': 200,
  key: 50,
  'key-exchange': 100,
};

/** Each activity's name for its weight, its function, how many seconds it may take, and what it asks for. */
const ACTIVITIES = [
  ['SIGN_INS', 4, 'visit', 2, ['sign-in', 'verify', 'sign-out']],
  ['REFRESHES', 20, 'renew', 0.5, ['refresh']],
  ['VERIFIES', 66, 'present', 0.25, ['verify']],
  ['CODES', 2, 'code', 0.5, ['send-code']],
  ['KEYS', 8, 'key', 0.5, ['key', 'key-exchange']],
];

/** The scenarios, and the limits of what they ask for. A weight of nothing leaves an activity out. */
export function day(load) {
  const weighed = ACTIVITIES.map(([name, weight, ...rest]) => [number(name, weight), ...rest]).filter(([weight]) => weight > 0);
  const all = weighed.reduce((sum, [weight]) => sum + weight, 0);
  if (all === 0) throw new Error('every weight is zero: there is nothing to do');
  const scenarios = {};
  const limits = {};
  for (const [weight, exec, patience, operations] of weighed) {
    scenarios[exec] = scenario(load, exec, weight / all, patience);
    for (const operation of operations) limits[operation] = LIMITS[operation];
  }
  return { scenarios, limits };
}

/** Refreshes a session of this virtual user's; one that is over is not tried again. */
export function renewOwn(vus) {
  const session = next(vus);
  if (!check(session, { 'refresh: a session is left': Boolean }, { operation: 'refresh' })) return undefined;
  const { response, over } = refresh(session);
  if (over) forget(session);
  return response;
}

/** Verifies an access token of this virtual user's, as fresh as clients keep them. */
export function verifyOwn(vus) {
  const session = next(vus);
  if (!check(session, { 'verify: a session is left': Boolean }, { operation: 'verify' })) return undefined;
  if (session.until < Date.now() + 30000 && refresh(session).over) forget(session);
  return verify(session.access);
}

/** Somebody signs in, is recognised, and signs out. Without that, everybody's sessions would pile up over a long run. */
export function visitOnce() {
  const { response, session } = signIn(anyUser(), password());
  if (session) {
    verify(session.access);
    signOut(session);
  }
  return response;
}

/** A code is asked for. */
export const askForCode = () => sendCode(anyUser());

/** A service exchanges its key for a token; a gateway asks about a key that it was sent. */
export function useAnyKey() {
  const key = any(keys);
  exchangeKey(key);
  return useKey(key);
}

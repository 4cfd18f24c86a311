// Refreshes sessions with rotation: CALL=oauth (POST /oauth/token) or myauth (POST /auth/login/refresh). Each virtual
// user has its own sessions. A rotated token cannot be used again: seed again before each run.

import { check } from 'k6';
import { dropSession, nextSession } from './lib/dataset.js';
import { refresh, refreshMyAuth } from './lib/operations.js';
import { checkReachable, checkSessionsUnused } from './lib/ready.js';
import { oneOf } from './lib/settings.js';
import { scenario, virtualUsers, readLoad } from './lib/shapes.js';
import { options as optionsOf, summary, thresholds } from './lib/verdict.js';

const CALLS = { oauth: refresh, myauth: refreshMyAuth };
const call = CALLS[oneOf('CALL', Object.keys(CALLS))];
const load = readLoad(500, '1m');
const limits = { refresh: 100 };
const scenarios = { refresh: scenario(load, 'renew', 1, 0.5) };
const vus = virtualUsers(scenarios);

export const options = optionsOf(scenarios, thresholds(limits, load));
export const handleSummary = summary('refresh', limits, load);

export function setup() {
  checkReachable();
  checkSessionsUnused(vus);
}

export function renew() {
  const session = nextSession(vus);
  if (check(session, { 'refresh: a session is left': Boolean }, { operation: 'refresh' }) && call(session).ended) dropSession(session);
}

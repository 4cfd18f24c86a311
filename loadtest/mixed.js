// A day in the life: sign-ins, refreshes, verifications, codes and API keys at once, in the proportion of their weights (SIGN_INS,
// REFRESHES, VERIFIES, CODES, KEYS). Codes are asked for and mailed; k6 cannot read mail, so none is handed in.

import { virtualUsers, wanted } from './lib/shapes.js';
import { askForCode, day, renewOwn, useAnyKey, verifyOwn, visitOnce } from './lib/day.js';
import { peopled, reachable, sessionsUnspent, tokensTaken } from './lib/ready.js';
import { options as optionsOf, summary, thresholds } from './lib/verdict.js';

const load = wanted(200, '5m');
const { scenarios, limits } = day(load);
const vus = virtualUsers(scenarios);

export const options = optionsOf(scenarios, thresholds(limits, load));
export const handleSummary = summary('mixed', limits, load);

export function setup() {
  reachable();
  peopled();
  tokensTaken();
  sessionsUnspent(vus);
}

export const visit = () => void visitOnce();
export const renew = () => void renewOwn(vus);
export const present = () => void verifyOwn(vus);
export const code = () => void askForCode();
export const key = () => void useAnyKey();

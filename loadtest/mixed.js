// A realistic mix of sign-ins, refreshes, verifications, codes and API keys, in the proportion of the weights SIGN_INS,
// REFRESHES, VERIFIES, CODES and KEYS. Codes are requested and mailed, but not redeemed: k6 cannot read mail.

import { virtualUsers, readLoad } from './lib/shapes.js';
import { requestCode, day, refreshOwnSession, useRandomKey, verifyOwnToken, signInAndOut } from './lib/day.js';
import { checkUsersAndKeys, checkReachable, checkSessionsUnused, checkTokensAccepted } from './lib/ready.js';
import { options as optionsOf, summary, thresholds } from './lib/verdict.js';

const load = readLoad(200, '5m');
const { scenarios, limits } = day(load);
const vus = virtualUsers(scenarios);

export const options = optionsOf(scenarios, thresholds(limits, load));
export const handleSummary = summary('mixed', limits, load);

export function setup() {
  checkReachable();
  checkUsersAndKeys();
  checkTokensAccepted();
  checkSessionsUnused(vus);
}

export const visit = () => void signInAndOut();
export const renew = () => void refreshOwnSession(vus);
export const present = () => void verifyOwnToken(vus);
export const code = () => void requestCode();
export const key = () => void useRandomKey();

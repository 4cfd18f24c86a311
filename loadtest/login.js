// Signs in with a password. The cost is that of the Argon2 hash: milliseconds of a core and megabytes per sign-in, as
// set in the section [passwords].

import { randomUser, password } from './lib/dataset.js';
import { signIn } from './lib/operations.js';
import { checkReachable } from './lib/ready.js';
import { scenario, readLoad } from './lib/shapes.js';
import { options as optionsOf, summary, thresholds } from './lib/verdict.js';

const load = readLoad(20, '1m');
const limits = { 'sign-in': 1500 };

export const options = optionsOf({ login: scenario(load, 'enter', 1, 3) }, thresholds(limits, load));
export const handleSummary = summary('login', limits, load);

export function setup() {
  checkReachable();
}

export function enter() {
  signIn(randomUser(), password());
}

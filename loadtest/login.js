// Signing in with a password. The hash decides: Argon2 takes milliseconds of a core and megabytes for each, by [passwords].

import { anyUser, password } from './lib/dataset.js';
import { signIn } from './lib/operations.js';
import { reachable } from './lib/ready.js';
import { scenario, wanted } from './lib/shapes.js';
import { options as optionsOf, summary, thresholds } from './lib/verdict.js';

const load = wanted(20, '1m');
const limits = { 'sign-in': 1500 };

export const options = optionsOf({ login: scenario(load, 'enter', 1, 3) }, thresholds(limits, load));
export const handleSummary = summary('login', limits, load);

export function setup() {
  reachable();
}

export function enter() {
  signIn(anyUser(), password());
}

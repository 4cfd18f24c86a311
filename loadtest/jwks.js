// The published keys: REVALIDATE is the share of those who know them and ask whether they still are the same. Needs no data set.

import { jwks } from './lib/operations.js';
import { number } from './lib/settings.js';
import { scenario, wanted } from './lib/shapes.js';
import { options as optionsOf, summary, thresholds } from './lib/verdict.js';

const REVALIDATE = number('REVALIDATE', 0.5);
const load = wanted(1000, '1m');
const limits = { jwks: 50 };

export const options = optionsOf({ jwks: scenario(load, 'fetch', 1, 0.25) }, thresholds(limits, load));
export const handleSummary = summary('jwks', limits, load);

// What this virtual user was told last.
let known;

export function fetch() {
  known = jwks(Math.random() < REVALIDATE ? known : undefined);
}

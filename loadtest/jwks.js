// Fetches the JWKS. REVALIDATE is the share of requests with `If-None-Match`. Needs no data set.

import { jwks } from './lib/operations.js';
import { number } from './lib/settings.js';
import { scenario, readLoad } from './lib/shapes.js';
import { options as optionsOf, summary, thresholds } from './lib/verdict.js';

const REVALIDATE = number('REVALIDATE', 0.5);
const load = readLoad(1000, '1m');
const limits = { jwks: 50 };

export const options = optionsOf({ jwks: scenario(load, 'fetch', 1, 0.25) }, thresholds(limits, load));
export const handleSummary = summary('jwks', limits, load);

// The last ETag that this virtual user received.
let etag;

export function fetch() {
  etag = jwks(Math.random() < REVALIDATE ? etag : undefined);
}

// Verifies access tokens: CALL=one (POST /verify), proxy (GET /verify) or batch (POST /verify/batch, BATCH tokens
// each).
//
// Tokens are taken from the data set in turn. With a tenth more tokens than verify.cache holds, each request checks a
// signature; with fewer, each is a cache lookup.

import exec from 'k6/execution';
import { sessions } from './lib/dataset.js';
import { verify, verifyBatch, verifyForProxy } from './lib/operations.js';
import { checkReachable, checkTokenLifetime } from './lib/ready.js';
import { count, oneOf } from './lib/settings.js';
import { scenario, readLoad } from './lib/shapes.js';
import { options as optionsOf, summary, thresholds } from './lib/verdict.js';

const CALL = oneOf('CALL', ['one', 'proxy', 'batch']);
const BATCH = count('BATCH', 256);
const load = readLoad(CALL === 'batch' ? 20 : 1000, '1m');
const limits = { verify: CALL === 'batch' ? 500 : 50 };

export const options = optionsOf({ verify: scenario(load, 'present', 1, 0.25) }, thresholds(limits, load));
export const handleSummary = summary('verify', limits, load);

export function setup() {
  checkReachable();
  checkTokenLifetime(load.length);
}

const tokenAt = (index) => sessions[index % sessions.length].access_token;

export function present() {
  const turn = exec.scenario.iterationInTest;
  if (CALL === 'batch') verifyBatch(Array.from({ length: BATCH }, (_, index) => tokenAt(turn * BATCH + index)));
  else if (CALL === 'proxy') verifyForProxy(tokenAt(turn));
  else verify(tokenAt(turn));
}

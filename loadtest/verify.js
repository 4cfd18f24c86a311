// Verification. CALL=one (POST /verify), proxy (GET /verify) or batch (POST /verify/batch, BATCH tokens each).
//
// Tokens come from the data set in turn. With a tenth more of them than verify.cache remembers, each is a signature to check; with fewer, a
// look-up.

import exec from 'k6/execution';
import { sessions } from './lib/dataset.js';
import { verify, verifyBatch, verifyForProxy } from './lib/operations.js';
import { reachable, tokensLast } from './lib/ready.js';
import { count, oneOf } from './lib/settings.js';
import { scenario, wanted } from './lib/shapes.js';
import { options as optionsOf, summary, thresholds } from './lib/verdict.js';

const CALL = oneOf('CALL', ['one', 'proxy', 'batch']);
const BATCH = count('BATCH', 256);
const load = wanted(CALL === 'batch' ? 20 : 1000, '1m');
const limits = { verify: CALL === 'batch' ? 500 : 50 };

export const options = optionsOf({ verify: scenario(load, 'present', 1, 0.25) }, thresholds(limits, load));
export const handleSummary = summary('verify', limits, load);

export function setup() {
  reachable();
  tokensLast(load.length);
}

const at = (place) => sessions[place % sessions.length].access_token;

export function present() {
  const turn = exec.scenario.iterationInTest;
  if (CALL === 'batch') verifyBatch(Array.from({ length: BATCH }, (_, one) => at(turn * BATCH + one)));
  else if (CALL === 'proxy') verifyForProxy(at(turn));
  else verify(at(turn));
}

// The CPU time of a verification: of tokens that are in the cache, and of tokens that are not. The baseline is what
// jose needs for the signature alone. The verifiers follow a feed and know 4,000 revocations. `node bench/verify.js`

import { compactVerify, importJWK } from 'jose';

import { createVerifier } from '../src/index.js';
import { AUDIENCE, FakeSignet, ISSUER, makeKey } from '../test/support/signet.js';

const DURATION = 1_500;

async function measure(name, tokens, verify) {
  for (const token of tokens) await verify(token);
  let count = 0;
  const before = process.cpuUsage();
  const end = performance.now() + DURATION;
  while (performance.now() < end) {
    for (let step = 0; step < 100; step += 1) await verify(tokens[(count + step) % tokens.length]);
    count += 100;
  }
  // CPU time rather than elapsed time, so that other programs on the machine do not matter.
  const { user, system } = process.cpuUsage(before);
  const each = (user + system) / count;
  const rate = Math.round(1e6 / each).toLocaleString('en');
  console.log(`${name.padEnd(32)} ${each.toFixed(2).padStart(9)} µs ${rate.padStart(12)}/s`);
}

const signet = await FakeSignet.start();
for (let index = 0; index < 4_000; index += 1) signet.revoke({ ids: [`other-${index}`] });
const es256 = await makeKey('es256', 'ES256');
signet.keys.push(es256);
const options = { issuer: ISSUER, audience: AUDIENCE, fetch: signet.fetch, clock: signet.clock };
const cached = createVerifier({ ...options, onError: console.error });
const uncached = createVerifier({ ...options, cacheSize: 0, onError: console.error });
await Promise.all([cached.start(), uncached.start()]);

console.log(`Node ${process.version}`);
for (const [alg, key] of [['EdDSA', signet.keys[0]], ['ES256', es256]]) {
  const tokens = await Promise.all(Array.from({ length: 1_000 }, () => signet.token({ scope: 'read' }, {}, key)));
  const publicKey = await importJWK(key.jwk, alg);
  await measure(`${alg}: signature alone (jose)`, tokens, (token) => compactVerify(token, publicKey));
  await measure(`${alg}: not cached`, tokens, (token) => uncached.verify(token));
  await measure(`${alg}: cached`, tokens, (token) => cached.verify(token));
}
cached.close();
uncached.close();

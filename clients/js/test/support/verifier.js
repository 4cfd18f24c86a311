// Verifiers of a fake Signet, which end with the test that made them.

import assert from 'node:assert/strict';

import { createVerifier, VerifyError } from '../../src/index.js';
import { AUDIENCE, FakeSignet, ISSUER } from './signet.js';

/** A server, a verifier of its tokens, and the errors that the verifier reports. */
export async function setUp(t, options = {}) {
  const signet = await FakeSignet.start();
  const errors = [];
  const verifier = createVerifier({
    issuer: ISSUER,
    audience: AUDIENCE,
    fetch: signet.fetch,
    clock: signet.clock,
    onError: (error) => errors.push(error),
    ...options,
  });
  t.after(() => verifier.close());
  return { signet, verifier, errors };
}

/** The code with which a token is refused; `valid` if it is not. */
export async function verdict(verifying) {
  try {
    await verifying;
    return 'valid';
  } catch (error) {
    assert.ok(error instanceof VerifyError, error);
    return error.code;
  }
}

/** Waits until a condition holds. */
export async function until(what, condition) {
  const began = performance.now();
  while (!(await condition())) {
    assert.ok(performance.now() - began < 60_000, `${what}: not within a minute`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

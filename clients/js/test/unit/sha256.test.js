import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';

import { sha256 } from '../../src/sha256.js';

test('SHA-256 of every length up to four blocks, and of a long message', () => {
  for (const length of [...Array(257).keys(), 100_000]) {
    const message = randomBytes(length);
    const expected = createHash('sha256').update(message).digest('hex');
    assert.equal(Buffer.from(sha256(message)).toString('hex'), expected, `${length} bytes`);
  }
});

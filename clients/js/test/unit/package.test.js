import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

test('the lock file names no registry', () => {
  const { packages } = JSON.parse(read('package-lock.json'));
  assert.ok(Object.keys(packages).length > 50);
  for (const [name, { resolved, integrity }] of Object.entries(packages)) {
    assert.equal(resolved, undefined, name);
    assert.ok(name === '' || integrity, name);
  }
});

test('the licences are those of Signet', () => {
  for (const name of ['LICENSE-APACHE', 'LICENSE-MIT']) assert.equal(read(name), read(`../../${name}`));
});

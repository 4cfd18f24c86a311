// The names of devices on the pages: the same as in mails and on the command line, whose tests are in
// `src/device.rs`.

import assert from 'node:assert/strict';
import test from 'node:test';
import { device } from '../../../src/api/pages/base/device.js';

const WEBKIT = 'AppleWebKit/537.36 (KHTML, like Gecko)';

test('devices are named from the user agent', () => {
  for (const [agent, name] of [
    ['Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0', 'Firefox, Linux'],
    [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/126.0 Safari/537.36 Edg/126.0`,
      'Microsoft Edge, Windows'],
    ['Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Safari/604.1',
      'Safari, iPhone'],
    [`Mozilla/5.0 (Linux; Android 14) ${WEBKIT} Chrome/126.0 Safari/537.36`, 'Chrome, Android'],
    ['curl/8.5.0', 'curl'],
    ['shop-app/2.1 (Android 14)', 'shop-app, Android'],
  ]) {
    assert.equal(device(agent), name, agent);
  }
});

test('what names no program and no system names no device', () => {
  for (const agent of [null, undefined, '', 'Mozilla/5.0', '<img src=x onerror=alert(1)>', '/1.0', 'a'.repeat(200)]) {
    assert.equal(device(agent), '', String(agent));
  }
});

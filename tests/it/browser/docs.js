// The API reference by keyboard: find a call, sign in, use the token, and be asked before a call that ends something. And the
// page at `/`.

import assert from 'node:assert/strict';
import { check, device, noDialog, open, run, says, server, shows } from './harness.js';

/** The open operation. */
const operation = (page, id) => page.locator(`details.operation[id="${id}"]`);

const press = async (page, ...keys) => { for (const key of keys) await page.keyboard.press(key); };

async function homePage() {
  const page = await open(await device(), '/');
  await shows(page, 'Signet');
  await says(page, 'signet users create --email you@example.org --superuser --verified --password-stdin');
  await says(page, /outbox\./);
  await check(page, 'home');
  const links = await page.locator('main a').evaluateAll((all) => all.map((link) => link.getAttribute('href')));
  for (const path of ['/account', '/docs', '/openapi.json', '/.well-known/jwks.json']) assert.ok(links.includes(path), `${links}`);
  for (const path of links.filter((each) => each.startsWith('/'))) {
    const { status } = await page.evaluate(async (url) => ({ status: (await fetch(url)).status }), path);
    assert.equal(status, 200, path);
  }

  const chinese = await open(await device({ locale: 'zh-TW' }), '/');
  await says(chinese, '本伺服器讓使用者登入');
  await check(chinese, 'home in Chinese');
}

async function search(page) {
  await press(page, '/');
  await page.keyboard.type('2fa');
  const found = page.locator('details.operation:visible');
  await page.waitForFunction(() => document.getElementById('found').textContent.endsWith(' operations'));
  const paths = await found.locator('summary .path').allInnerTexts();
  assert.ok(paths.includes('/totp') && !paths.includes('/verify'), `${paths}`);
  await check(page, 'a search');
  await press(page, 'ArrowDown', 'ArrowDown', 'ArrowUp', 'ArrowUp');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'search', 'the arrows lead back');
  await press(page, 'Escape');
  assert.equal(await page.evaluate(() => document.getElementById('search').value), '');
  await press(page, '/');
  await page.keyboard.type('no such operation');
  await says(page, 'No matching operations.');
  await press(page, 'Escape');
}

async function signIn(page) {
  await press(page, '/');
  await page.keyboard.type('native_sign_in');
  await press(page, 'Enter');
  const call = operation(page, 'native_sign_in');
  await call.getByLabel('Body').focus();
  const body = call.getByLabel('Body');
  const send = call.getByRole('button', { name: 'Send' });

  // Nothing is sent without what the call needs.
  await body.fill('{"email": "", "password": ');
  await send.press('Enter');
  await says(page, /^This is not JSON/);
  await body.fill('');
  await send.press('Enter');
  await says(page, 'A body is required.');
  assert.equal(await body.getAttribute('aria-invalid'), 'true');
  assert.equal(await call.locator('.status').count(), 0);
  await check(page, 'an empty body', 'details.operation[open]');

  await body.fill(JSON.stringify({ email: server.user, password: 'wrong' }));
  await send.press('Enter');
  await call.locator('.status', { hasText: '401' }).waitFor();
  assert.equal(await call.getByRole('button', { name: 'Use this token' }).count(), 0);

  await body.fill(JSON.stringify({ email: server.user, password: server.password }));
  await send.press('Enter');
  await call.locator('.status', { hasText: '201' }).waitFor();
  await call.getByRole('button', { name: 'Use this token' }).press('Enter');
  await says(page, 'The calls of this page send it from now on.');
  await check(page, 'a response with a token', 'details.operation[open]');
  await press(page, '/');
  await page.keyboard.press('Escape');
}

async function code(page) {
  const call = operation(page, 'native_sign_in');
  await call.getByText('As code').press('Enter');
  const tabs = call.getByRole('tab');
  // The browser tells the page of an opened part a moment later.
  const reads = (text) => call.getByRole('tabpanel').locator('code').filter({ hasText: text }).waitFor();
  await reads(/^curl -X POST 'http/);
  await tabs.first().press('ArrowRight');
  await reads(/await fetch\("http/);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'JavaScript');
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('ArrowLeft');
  // The last one follows the first.
  await reads(/reqwest::Client/);
  await check(page, 'code', 'details.operation[open]');
}

async function useToken(page) {
  await page.evaluate(() => { location.hash = 'native_list_sessions'; });
  const list = operation(page, 'native_list_sessions');
  await list.getByRole('button', { name: 'Send' }).press('Enter');
  await list.locator('.status', { hasText: '200' }).waitFor();

  // A required parameter is not sent empty.
  await page.evaluate(() => { location.hash = 'native_sign_out'; });
  const end = operation(page, 'native_sign_out');
  const send = end.getByRole('button', { name: 'Send' });
  await send.press('Enter');
  await says(page, /is required\.$/);
  assert.equal(await end.locator('.status').count(), 0);
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'INPUT');
  await check(page, 'a missing parameter', '#native_sign_out');

  // A call that ends something asks first; Escape is no.
  await page.keyboard.type('019a8b1c-2d3e-7f40-8a1b-2c3d4e5f6071');
  await send.press('Enter');
  const question = page.getByRole('dialog');
  await question.waitFor();
  await check(page, 'the question before a call', 'dialog, [role=dialog]');
  await page.keyboard.press('Escape');
  await noDialog(page);
  assert.equal(await end.locator('.status').count(), 0);
  await send.press('Enter');
  await question.getByRole('button', { name: 'Send it' }).press('Enter');
  await end.locator('.status').waitFor();
}

async function credentialThatCannotBeSent(page) {
  await page.evaluate(() => { location.hash = 'native_introspect'; });
  const call = operation(page, 'native_introspect');
  await call.locator('select[id$="-scheme"]').selectOption('client');
  await call.locator('input[id$="-secret"]').fill('sk_鍵');
  const send = call.getByRole('button', { name: 'Send' });
  await send.press('Enter');
  await says(page, /^Not sent: /);
  assert.ok(await send.isEnabled());
}

async function malformedAddress() {
  const page = await open(await device(), '/docs#%E0%A4%A');
  await page.locator('details.operation').first().waitFor();
}

/** An operation is loaded when it is opened, once, and the whole document is not loaded. */
async function detailsOnDemand() {
  const context = await device();
  const page = await context.newPage();
  const loaded = [];
  page.on('request', (request) => loaded.push(new URL(request.url()).pathname));
  await page.goto(`${server.url}/docs`);
  const call = operation(page, 'native_list_sessions');
  const summary = call.locator('> summary');
  const details = () => loaded.filter((path) => path.startsWith('/docs/operations/'));
  await summary.waitFor();
  assert.deepEqual(details(), []);

  await page.route('**/docs/operations/*', (route) => route.abort());
  await summary.press('Enter');
  await says(page, /^Cannot load this: /);
  await check(page, 'an operation that is not loaded', 'details.operation[open]');
  await page.unroute('**/docs/operations/*');
  await call.getByRole('button', { name: 'Try again' }).press('Enter');
  await call.getByRole('button', { name: 'Send' }).waitFor();
  for (const presses of ['closed', 'open']) {
    await summary.press('Enter');
    assert.equal(await call.getAttribute('open') !== null, presses === 'open');
  }
  await call.getByRole('button', { name: 'Send' }).waitFor();
  assert.deepEqual(details(), Array(2).fill('/docs/operations/native_list_sessions'), 'one that failed, and one');
  assert.ok(loaded.includes('/docs/index.json') && !loaded.includes('/openapi.json'), `${loaded}`);
}

async function inChinese() {
  const page = await open(await device({ locale: 'zh-TW', viewport: { width: 320, height: 640 } }), '/docs');
  await shows(page, '登入');
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'zh-Hant');
  await check(page, 'the reference in Chinese');
  await press(page, '/');
  await page.keyboard.type('登出');
  await page.waitForFunction(() => document.getElementById('found').textContent.endsWith(' 個呼叫'));
  await press(page, 'Escape');
  const call = operation(page, 'native_revoke');
  await page.evaluate(() => { location.hash = 'native_revoke'; });
  await call.getByRole('button', { name: '送出' }).waitFor();
  await call.getByText('以程式碼表示').press('Enter');
  await check(page, 'an operation in Chinese', '#native_revoke');
  // The document is English.
  assert.equal(await call.locator('.inner > p').first().getAttribute('lang'), 'en');
  await call.getByLabel('內容', { exact: true }).fill('{"token": "x"}');
  await call.getByRole('button', { name: '送出' }).press('Enter');
  await page.getByRole('dialog').waitFor();
  await says(page, '要送出 POST /oauth/revoke 嗎？');
  await check(page, 'the question in Chinese', 'dialog');
  await page.keyboard.press('Escape');
  await noDialog(page);

  // A credential outlives the change of the language, and the choice is kept.
  await page.getByLabel('Bearer 權杖').fill('a token');
  await page.getByRole('button', { name: 'English' }).press('Enter');
  await shows(page, 'Sign in');
  assert.equal(await page.getByLabel('Bearer token').inputValue(), 'a token');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'English');
  await page.reload();
  await shows(page, 'Sign in');
}

async function onAPhone() {
  const page = await open(await device({ viewport: { width: 360, height: 640 } }), '/docs');
  await page.getByRole('button', { name: 'Contents' }).press('Enter');
  await page.getByRole('navigation').getByRole('link', { name: 'Sign in', exact: true }).waitFor();
  await check(page, 'the contents on a phone');
}

await run(async () => {
  await homePage();
  const page = await open(await device(), '/docs');
  await page.locator('details.operation').first().waitFor();
  const groups = await page.locator('nav h2').allInnerTexts();
  assert.equal(groups[0].toLowerCase(), 'sign in', `${groups}`);
  await check(page, 'the reference');
  await search(page);
  await signIn(page);
  await code(page);
  await useToken(page);
  await credentialThatCannotBeSent(page);
  await malformedAddress();
  await detailsOnDemand();
  await inChinese();
  await onAPhone();
});

// The console, first of all the overview, whose charts show what happened just before.

import { hostname } from 'node:os';
import {
  agree, dialog, field, fill, mailedCode, noDialog, open, press, says, shows,
} from '../../tests/it/browser/harness.js';
import { NARROW, picture, WIDE, windowOf } from './picture.js';
import {
  ADA, AGENTS, call, consoleUrl, followFeed, GRACE, PASSWORD, signIn, SUPERUSER, traffic,
} from './scene.js';

/** Iterations a second, each for so many seconds: the charts have a point for every five. The last one is measured. */
const LOAD = [[15, 15], [40, 10], [25, 15], [60, 10], [40, 15]];

/** The limits of the load test, in milliseconds. */
const LIMITS = { verify: 250, refresh: 250, 'sign-in': 2500, 'send-code': 500, key: 250 };

export async function picturesOfConsole() {
  const context = await windowOf(WIDE);
  const page = await open(context, `${consoleUrl}/console`);
  await shows(page, 'Sign in to the console');
  await picture(page, 'console-sign-in');
  await fill(page, { 'Email address or username': SUPERUSER, Password: PASSWORD });
  await press(page, 'Sign in');
  await shows(page, 'Overview');
  await page.route('**/admin/overview', withoutMachine);
  let times;
  for (const load of LOAD) {
    times = await traffic(...load);
    await followFeed('reports-7c9f:1');
    await followFeed('orders-51d2:1');
  }
  await page.reload();
  await says(page, 'orders-51d2:1');
  await picture(page, 'console-overview', { most: 720 });
  await picture(page, 'console-overview-whole', { most: 1800 });
  await users(page);
  await inspector(page);
  await keysEventsSettings(page);
  await mail(page);
  await loadTest(page, times);
  await sessionTooOld(page);
  await storeDown(page);
  await narrow(context);
  await context.close();
}

/** The id of a node begins with the name of its machine, which is not for a picture. */
async function withoutMachine(route) {
  const response = await route.fetch();
  await route.fulfill({ response, body: (await response.text()).replaceAll(`"${hostname()}_`, '"id1_') });
}

/** Goes to a screen by its link. */
async function go(page, name) {
  await page.getByRole('navigation').getByRole('link', { name, exact: true }).click();
  await shows(page, name);
}

async function users(page) {
  await go(page, 'Users');
  await says(page, ADA);
  await picture(page, 'console-users');
  await page.getByRole('link', { name: ADA }).click();
  await shows(page, ADA);
  await page.getByRole('button', { name: /^End session/ }).first().waitFor();
  await picture(page, 'console-user', { most: 1400 });
  await go(page, 'Users');
  await page.getByRole('link', { name: GRACE }).click();
  await shows(page, GRACE);
  await page.route('**/admin/users/*/sign-out', withoutMachine);
  await page.getByRole('main').getByRole('button', { name: 'Sign out', exact: true }).click();
  await agree(page, 'Sign out');
  await says(page, 'Nobody is signed in with this account.');
  await page.unroute('**/admin/users/*/sign-out');
  await picture(page, 'console-user-signed-out', { most: 900 });
}

async function inspector(page) {
  await go(page, 'Token inspector');
  const { access_token: token, session_id: id } = await signIn(ADA, AGENTS.phone);
  const inspect = async (text) => {
    await fill(page, { 'Token or API key': token });
    await press(page, 'Inspect');
    await says(page, text);
    await field(page, 'Token or API key').evaluate((area) => { area.scrollTop = 0; });
  };
  await inspect('Accepted.');
  await picture(page, 'console-token', { most: 1300 });
  await call('DELETE', `/sessions/${id}`, { token });
  await inspect('Refused. It was revoked.');
  await picture(page, 'console-token-revoked', { most: 900 });
}

async function keysEventsSettings(page) {
  await go(page, 'Signing keys');
  await page.getByRole('img', { name: /signs now/ }).waitFor();
  await picture(page, 'console-keys');
  await go(page, 'API keys');
  await says(page, 'nightly export');
  await picture(page, 'console-api-keys');
  await go(page, 'Events');
  await says(page, 'sign_in.succeeded');
  await picture(page, 'console-events', { most: 800 });
  await go(page, 'Settings');
  await page.getByLabel('Only those that differ from the default').check();
  await picture(page, 'console-settings', { most: 900 });
}

/** The outbox, and a letter as a mail client shows it. */
async function mail(page) {
  await call('POST', '/codes', { body: { email: ADA } });
  await mailedCode(ADA);
  await go(page, 'Mail');
  const letter = page.getByRole('button', { name: new RegExp(`^Read: .*${ADA}`) }).first();
  await letter.waitFor();
  await picture(page, 'console-mail', { most: 1000 });
  await letter.click();
  await page.frameLocator('iframe.letter').getByText(/\d{6}/).first().waitFor();
  await picture(page, 'console-letter', { least: 760, most: 760 });
  await press(page, 'Close');
  await noDialog(page);
}

/** The durations of the last requests, as k6 summarises them: written by the code of the load tests. */
async function loadTest(page, times) {
  globalThis.__ENV = { SUMMARY: 'summary.json' };
  const { summary } = await import('../../loadtest/lib/verdict.js');
  const [rate, duration] = LOAD.at(-1);
  const metrics = {};
  for (const [operation, all] of Object.entries(times)) {
    const sorted = all.toSorted((one, other) => one - other);
    const at = (share) => sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)];
    const values = { med: at(0.5), 'p(95)': at(0.95), 'p(99)': at(0.99), 'p(99.9)': at(0.999), max: at(1) };
    const thresholds = { [`p(99)<${LIMITS[operation]}`]: { ok: values['p(99)'] < LIMITS[operation] } };
    metrics[`http_req_duration{operation:${operation}}`] = { values, thresholds };
    metrics[`http_reqs{operation:${operation}}`] = { values: { count: all.length, rate: all.length / duration } };
    metrics[`http_req_failed{operation:${operation}}`] = { values: { rate: 0 } };
    metrics[`checks{operation:${operation}}`] = { values: { rate: 1 } };
  }
  const data = { metrics, state: { testRunDurationMs: duration * 1000 } };
  const text = summary('mixed', LIMITS, { shape: 'steady', rate, duration })(data)['summary.json'];
  await go(page, 'Load tests');
  await page.setInputFiles('input[type=file]', {
    name: 'summary.json', mimeType: 'application/json', buffer: Buffer.from(text),
  });
  await page.getByRole('img', { name: /^Durations of the operations/ }).waitFor();
  await picture(page, 'console-load-test', { most: 1200 });
}

/** A change that needs a recent sign-in. */
async function sessionTooOld(page) {
  await go(page, 'Users');
  await page.getByRole('link', { name: ADA }).click();
  const body = JSON.stringify({ type: 'insufficient_user_authentication', title: 'Sign in again.', status: 401 });
  await page.route('**/admin/users/*/sign-out', (route) =>
    route.fulfill({ status: 401, contentType: 'application/problem+json', body }));
  await page.getByRole('main').getByRole('button', { name: 'Sign out', exact: true }).click();
  await agree(page, 'Sign out');
  await says(page, 'This change needs a recent sign-in.');
  await field(dialog(page), 'Password').fill(PASSWORD);
  await picture(page, 'console-session-too-old', { least: 700, most: 700 });
  await page.unroute('**/admin/users/*/sign-out');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  await noDialog(page);
}

/** What the overview says while Redis does not answer. */
async function storeDown(page) {
  await page.route('**/admin/overview', async (route) => {
    const response = await route.fetch();
    const json = await response.json();
    json.this_node.stores.find(({ name }) => name === 'ephemeral').up = false;
    await route.fulfill({ response, json });
  });
  await go(page, 'Users');
  await says(page, 'The store of sessions does not answer.');
  await picture(page, 'console-store-down');
  await page.unrouteAll({ behavior: 'wait' });
}

async function narrow(context) {
  const page = await open(context, `${consoleUrl}/console#/keys`);
  await page.setViewportSize({ width: NARROW, height: 600 });
  await page.getByRole('button', { name: '繁體中文' }).click();
  await page.getByRole('heading', { name: '簽章金鑰' }).waitFor();
  await picture(page, 'console-narrow-chinese', { most: 1200 });
  await page.close();
}

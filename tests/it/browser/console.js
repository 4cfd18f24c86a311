// The console: every screen and state, on one server. `superuser` and `user` are accounts that exist; `hostile` is what is
// stored wherever a text can be stored: if a browser ran it, `attacked` would be set.

import {
  agree, button, check, device, dialog, field, fill, heading, noDialog, open, press, pressKey, reach, run, says, server, shows,
} from './harness.js';

const { superuser, user, hostile, redis, api } = server;

/** The largest size of everything that a screen loads, uncompressed. */
const MAX_PAGE_BYTES = 120_000;

await run(async () => {
  const context = await device();
  const page = await open(context, '/console');
  await entering(page);
  await plainUser();
  await byKeyboardAlone();
  await users(page);
  await oneUser(page);
  await inspector(page);
  await keys(page);
  await events(page);
  await settings(page);
  await mail(page);
  await summary(page);
  await sessionTooOld(page);
  await sessionEnded(page);
  await storesDown(page);
  await otherOrigin();
  await everyScreen(context);
});

/** Goes to a screen by its link. */
async function go(page, name) {
  await page.getByRole('navigation').getByRole('link', { name, exact: true }).click();
  await shows(page, name);
}

async function signIn(page, { email, password }) {
  await fill(page, { 'Email address or username': email, Password: password });
  await press(page, 'Sign in');
}

/** Calls the native API as a program does. */
async function call(method, path, body, token) {
  const headers = { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(`${api}${path}`, { method, headers, body: body && JSON.stringify(body) });
  return { status: response.status, body: await response.json().catch(() => null) };
}

async function signInByProgram({ email, password }) {
  return (await call('POST', '/sessions', { email, password })).body;
}

async function entering(page) {
  await shows(page, 'Sign in to the console');
  await page.getByText('There is no superuser yet?').click();
  await says(page, 'signet users create --email you@example.org --superuser --verified --password-stdin');
  await check(page, 'signed out');
  await signIn(page, { ...superuser, password: 'some wrong password' });
  await says(page, 'Wrong email address, username or password.');
  await check(page, 'refused');
  await signIn(page, superuser);
  await shows(page, 'Overview');
  // A reload keeps the session, which is in a cookie that scripts cannot read.
  await page.reload();
  await shows(page, 'Overview');
  const cookie = await page.evaluate(() => document.cookie);
  if (cookie !== '') throw new Error(`a script can read ${cookie}`);
}

/** A user without rights sees why, and none of the calls answers. */
async function plainUser() {
  const page = await open(await device(), '/console');
  await signIn(page, user);
  await shows(page, 'No access');
  await says(page, `${user.email} is no superuser.`);
  await says(page, /^signet users update [0-9a-f-]{36} --superuser true$/);
  await check(page, 'no access');
  await page.evaluate(() => { location.hash = '#/users'; });
  await shows(page, 'No access');
  await press(page, 'Sign out');
  await shows(page, 'Sign in to the console');
  await page.goBack();
  await shows(page, 'Sign in to the console');
}

/** Signs in, opens a dialog and closes it, follows the events and signs out without a pointer. */
async function byKeyboardAlone() {
  const page = await open(await device(), '/console');
  await shows(page, 'Sign in to the console');
  await reach(page, 'Email address or username');
  await page.keyboard.type(superuser.email);
  await reach(page, 'Password');
  await page.keyboard.type(superuser.password);
  await page.keyboard.press('Enter');
  await shows(page, 'Overview');
  await pressKey(page, 'Users');
  await says(page, user.email);
  await pressKey(page, 'Create user');
  await dialog(page).waitFor();
  await page.keyboard.press('Escape');
  await noDialog(page);
  await pressKey(page, 'Events');
  await button(page, 'Follow live').waitFor();
  await pressKey(page, 'Follow live', 'Space');
  await says(page, 'New events appear by themselves.');
  await pressKey(page, 'Sign out');
  await shows(page, 'Sign in to the console');
}

async function users(page) {
  await go(page, 'Users');
  await says(page, user.email);
  await field(page, 'Address, username, name or ID').fill('nobody has this name');
  await says(page, 'No user matches.');
  await check(page, 'no user matches');
  await field(page, 'Address, username, name or ID').fill(user.email);
  await page.getByRole('link', { name: user.email }).waitFor();
  await field(page, 'State').selectOption('disabled');
  await says(page, 'No user matches.');
  await field(page, 'State').selectOption('');
  await press(page, 'Create user');
  await fill(page, { 'Email address': 'no address' });
  await agree(page, 'Create user');
  await says(page, 'This is not a valid email address.');
  await check(page, 'creating a user');
  await fill(page, { 'Email address': 'new@example.org', 'Full name': hostile });
  await agree(page, 'Create user');
  await shows(page, 'new@example.org');
  await says(page, 'Nobody is signed in with this account.');
  await says(page, 'signet api-keys create --user new@example.org --name NAME');
}

async function oneUser(page) {
  await signInByProgram(user);
  await go(page, 'Users');
  await page.getByRole('link', { name: user.email }).click();
  await shows(page, user.email);
  await says(page, hostile);
  await check(page, 'a user');

  await press(page, 'Edit');
  await fill(page, { Claims: '{' });
  await agree(page, 'Save');
  await says(page, 'The claims are no JSON object.');
  await check(page, 'editing a user');
  await fill(page, { Claims: JSON.stringify({ plan: hostile }), Roles: `editor, ${hostile}` });
  await agree(page, 'Save');
  await says(page, 'The changes are saved.');
  await page.getByText(`editor, ${hostile}`).waitFor();
  // The browser test's own calls are those of a program.
  await page.getByRole('cell', { name: 'node' }).first().waitFor();

  await page.getByRole('main').getByRole('button', { name: 'Sign out', exact: true }).click();
  await check(page, 'signing a user out');
  await agree(page, 'Sign out');
  await says(page, '2 sessions ended.');
  // Each node, and the time after which it refused the tokens.
  await page.getByRole('main').getByRole('listitem').filter({ hasText: /\d\sm?s/ }).first().waitFor();
  await says(page, 'Nobody is signed in with this account.');

  await press(page, 'Disable');
  await agree(page, 'Disable');
  await says(page, 'The account is disabled.');
  if ((await call('POST', '/sessions', user)).status === 201) throw new Error('a disabled user signed in');
  await press(page, 'Enable');
  await agree(page, 'Enable');
  await says(page, 'The account is enabled.');

  // Only the name of the account deletes it.
  await go(page, 'Users');
  await page.getByRole('link', { name: 'new@example.org' }).click();
  await shows(page, 'new@example.org');
  await press(page, 'Delete');
  const label = await dialog(page).getByText(/^Type .* to confirm$/).innerText();
  const name = /^Type (.*) to confirm$/.exec(label)[1];
  await fill(page, { [label]: 'another name' });
  await agree(page, 'Delete');
  await says(page, 'This is not the name.');
  await check(page, 'deleting a user');
  await fill(page, { [label]: name });
  await agree(page, 'Delete');
  await shows(page, 'Users');
  await page.getByRole('link', { name: user.email }).waitFor();
  if (await page.getByRole('link', { name: 'new@example.org' }).count()) throw new Error('the user is still there');
}

async function inspector(page) {
  await go(page, 'Token inspector');
  const inspect = async (text) => {
    await field(page, 'Token or API key').fill(text);
    await press(page, 'Inspect');
  };
  await inspect('nothing that we know');
  await says(page, 'Not recognized');
  const { access_token: access, refresh_token: refresh } = await signInByProgram(user);
  await inspect(access);
  await shows(page, 'Access token');
  await says(page, 'Accepted.');
  await says(page, user.email);
  await check(page, 'a good token');
  await inspect(refresh);
  await shows(page, 'Refresh token');
  await says(page, 'Accepted.');
  await call('DELETE', '/sessions', undefined, access);
  await inspect(access);
  await says(page, 'Refused. It was revoked.');
  if (await page.getByText('time unknown').count()) throw new Error('the end of the sessions has no time');
  await check(page, 'a revoked token');
  const changed = `${access.slice(0, -20)}${access.at(-20) === 'A' ? 'B' : 'A'}${access.slice(-19)}`;
  await inspect(changed);
  await says(page, 'The signature is wrong');
}

async function keys(page) {
  // While it is being read, a screen says so.
  let answer;
  const held = new Promise((resolve) => { answer = resolve; });
  await page.route('**/admin/api-keys?*', async (route) => { await held; await route.continue(); });
  await go(page, 'API keys');
  await says(page, 'Loading…');
  await check(page, 'loading');
  answer();
  await page.getByRole('button', { name: `Deactivate ${hostile}`, exact: true }).click();
  await check(page, 'deactivating an API key');
  await agree(page, 'Deactivate');
  await says(page, 'Inactive');

  await go(page, 'Signing keys');
  await page.getByRole('img', { name: /signs now/ }).waitFor();
  await press(page, 'Rotate EdDSA');
  await check(page, 'rotating a key');
  await agree(page, 'Rotate');
  await noDialog(page);
  await page.getByRole('button', { name: /^Revoke / }).first().click();
  await check(page, 'revoking a key');
  await agree(page, 'Cancel');
  await noDialog(page);
}

/** Events by subject, and a new one that appears by itself. */
async function events(page) {
  await go(page, 'Events');
  await page.getByTitle(hostile, { exact: true }).first().waitFor();
  await page.getByRole('main').getByRole('link', { name: user.email, exact: true }).first().waitFor();
  await field(page, 'Subject').selectOption('password');
  await says(page, 'signet audit');
  await press(page, 'Follow live');
  await says(page, 'New events appear by themselves.');
  await check(page, 'following events');
  await call('POST', '/password-resets', { email: user.email });
  await says(page, 'password.reset_requested');
  await press(page, 'Follow live');
}

async function settings(page) {
  await go(page, 'Settings');
  await field(page, 'Name or description').fill('console.listener');
  await page.getByText('console.listener', { exact: true }).waitFor();
  await page.getByLabel('Only those that differ from the default').check();
  await field(page, 'Name or description').fill('no setting has this name');
  await says(page, 'signet config show');
  await check(page, 'no setting');
  await field(page, 'Name or description').fill('server.management');
  await page.getByText('SIGNET_SERVER__MANAGEMENT').waitFor();
}

/** The queue, a test, and a letter of the outbox as a mail client shows it. */
async function mail(page) {
  // Wider than the smallest screen, and nowhere broken by itself.
  const destination = `${'relay'.repeat(12)}.example.org:587`;
  const failing = {
    outbox: false, destination, capacity: 10, queued: 1, oldest_seconds: 61, sent: 3, failed: 2,
    retries: 5,
    queue: [{ letter: 'magic-link', to: hostile, queued_at: new Date(), expires_at: new Date(), failed_tries: 5,
      last_failure: 'sending: answered 451' }],
  };
  await page.route('**/admin/mail', (route) => route.fulfill({ json: failing }));
  await go(page, 'Mail');
  await says(page, `Mails go to ${destination}.`);
  await says(page, 'sending: answered 451');
  await check(page, 'mail that waits');
  await page.unroute('**/admin/mail');
  await press(page, 'Send test mail');
  await fill(page, { 'Email address': 'mail@example.org' });
  await agree(page, 'Send');
  await says(page, 'accepted the mail after');
  await page.getByRole('button', { name: /^Read: Test of email .* mail@example\.org$/ }).click();
  const letter = page.frameLocator('iframe.letter');
  await letter.getByText('This is a test.').first().waitFor();
  const styled = await letter.locator('body *').evaluateAll((all) => all.some((part) => part.style.length > 0));
  if (!styled) throw new Error('the letter has no style');
  await check(page, 'a letter');
  await press(page, 'Show as text');
  await dialog(page).getByText("You don't need to do anything.").waitFor();
  await press(page, 'Close');
  await noDialog(page);
}

/** The file of a load test becomes a chart, and leaves the browser by no way. */
async function summary(page) {
  await go(page, 'Load tests');
  await says(page, 'k6 run -e SUMMARY=summary.json loadtest/mixed.js');
  const drop = (text) => page.setInputFiles('input[type=file]', {
    name: 'summary.json', mimeType: 'application/json', buffer: Buffer.from(text),
  });
  await drop('{"script":');
  await says(page, 'This is no summary of the scripts in loadtest/.');
  const times = { med: 0.8, 'p(95)': 3, 'p(99)': 7, 'p(99.9)': 20, max: 44 };
  await drop(JSON.stringify({
    script: hostile, load: { shape: 'steady', rate: 200 }, passed: false, missed: [hostile],
    metrics: { [`http_req_duration{operation:${hostile.replace(/[{}]/g, '')}}`]: { values: times, thresholds: { 'p(99)<5': { ok: false } } } },
  }));
  await shows(page, hostile);
  await page.getByRole('img', { name: /^Durations of the operations/ }).waitFor();
  await check(page, 'a load test');
}

/** A change that needs a recent sign-in asks for the password, then goes on. */
async function sessionTooOld(page) {
  await go(page, 'Users');
  await page.getByRole('link', { name: user.email }).click();
  let asked = 0;
  await page.route('**/admin/users/*/sign-out', (route) => {
    asked += 1;
    const body = JSON.stringify({ type: 'insufficient_user_authentication', title: 'Sign in again.', status: 401 });
    return asked === 1 ? route.fulfill({ status: 401, contentType: 'application/problem+json', body }) : route.continue();
  });
  await page.getByRole('main').getByRole('button', { name: 'Sign out', exact: true }).click();
  await agree(page, 'Sign out');
  await says(page, 'This change needs a recent sign-in.');
  await check(page, 'signing in again');
  await field(dialog(page), 'Password').fill(superuser.password);
  await agree(page, 'Sign in');
  await says(page, 'sessions ended.');
  await page.unroute('**/admin/users/*/sign-out');
}

/** A session that was ended elsewhere: the screen stays, and the console asks above it. */
async function sessionEnded(page) {
  const other = await signInByProgram(superuser);
  await call('DELETE', '/sessions', undefined, other.access_token);
  // Not by the link: the question may be above it already, because the overview is read every few seconds.
  await page.evaluate(() => { location.hash = '#/users'; });
  await shows(page, 'Sign in again');
  await says(page, 'Your session has ended. Sign in again to go on where you were.');
  await check(page, 'session ended');
  await field(dialog(page), 'Password').fill(superuser.password);
  await agree(page, 'Sign in');
  await noDialog(page);
  await shows(page, 'Users');
  await says(page, user.email);
}

/** While a store is down, what was read stays, the screen says so, and nothing can be changed. */
async function storesDown(page) {
  await go(page, 'Users');
  await says(page, user.email);
  const create = (disabled) => page.getByRole('button', { name: 'Create user', exact: true, disabled });
  const down = async (text) => {
    await says(page, text);
    await says(page, 'What is shown can be read, but nothing can be changed.');
    await says(page, user.email);
    await create(true).waitFor();
    await check(page, text);
  };
  const up = () => page.getByText('nothing can be changed').first().waitFor({ state: 'detached' });
  if (redis) {
    process.kill(redis, 'SIGSTOP');
    await down('The store of sessions does not answer.');
    process.kill(redis, 'SIGCONT');
    await up();
  }
  const body = JSON.stringify({ type: 'unavailable', title: 'A part of the service is unavailable.', status: 503 });
  await page.route('**/admin/overview', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body }));
  await down('The store of users does not answer.');
  await page.unroute('**/admin/overview');
  await up();
  await page.route('**/admin/overview', (route) => route.abort());
  await down('No response from the server.');
  await page.unroute('**/admin/overview');
  await up();
  await create(false).waitFor();
}

/** A page of another port of the same host, to which the browser does send the cookie, neither calls nor frames it. */
async function otherOrigin() {
  const context = await device({ strict: false });
  const page = await open(context, '/console');
  await signIn(page, superuser);
  await shows(page, 'Overview');
  const attacker = await context.newPage();
  await attacker.goto(`${api}/.well-known/jwks.json`);
  for (const [method, path] of [['POST', '/account/session/refresh'], ['GET', '/admin/users'], ['GET', '/me']]) {
    const read = await attacker.evaluate(async ([url, how]) => {
      const options = { method: how, credentials: 'include', headers: { 'content-type': 'application/json' } };
      if (how === 'POST') options.body = '{}';
      return fetch(url, options).then((response) => `read ${response.status}`, () => 'refused');
    }, [`${server.url}${path}`, method]);
    if (read !== 'refused') throw new Error(`a page of another origin reads ${path}: ${read}`);
  }
  await attacker.evaluate(async (url) => {
    const frame = document.createElement('iframe');
    frame.src = url;
    const done = new Promise((resolve) => { frame.onload = resolve; });
    document.documentElement.append(frame);
    await done;
  }, `${server.url}/console`);
  const frames = attacker.frames().map((frame) => frame.url());
  if (frames.some((url) => url.startsWith(server.url))) throw new Error(`another page frames the console: ${frames}`);
  await context.close();
}

/** Opens every screen anew: nothing stored is run, and everything that it loads is small. */
async function everyScreen(context) {
  const page = await context.newPage();
  let loading = [];
  page.on('response', (response) => {
    const type = response.headers()['content-type'] ?? '';
    if (/html|javascript|css/.test(type)) loading.push(response.body().then((body) => body.length, () => 0));
  });
  const screens = await screenLinks(page);
  for (const [path, name] of screens) {
    await page.goto('about:blank');
    loading = [];
    await page.goto(new URL(`/console#/${path}`, server.url).href);
    await heading(page, name).waitFor();
    await page.waitForLoadState('networkidle');
    await check(page, name);
    const loaded = (await Promise.all(loading)).reduce((sum, length) => sum + length, 0);
    if (loaded > MAX_PAGE_BYTES) throw new Error(`${name} loads ${loaded} bytes`);
    if (await page.evaluate(() => window.attacked)) throw new Error(`${name} ran what was stored`);
  }
  await press(page, '繁體中文');
  await page.getByRole('navigation', { name: '主控台' }).waitFor();
  await check(page, 'in Chinese');
  await press(page, 'English');
  await press(page, 'Sign out');
  await shows(page, 'Sign in to the console');
  await page.goto('about:blank');
  await page.goBack();
  await shows(page, 'Sign in to the console');
}

/** The routes and names of the screens, as the navigation lists them. */
async function screenLinks(page) {
  await page.goto(new URL('/console', server.url).href);
  const links = page.getByRole('navigation').getByRole('link');
  await links.first().waitFor();
  return links.evaluateAll((all) => all.map((link) => [link.hash.slice(2), link.textContent.trim()]));
}

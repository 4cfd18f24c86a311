// Attacks by other pages and other people on a user who is signed in.

import { createServer } from 'node:http';

import { button, check, device, field, fill, open, press, pressKey, reach, run, says, server, shows } from './harness.js';

const { user, attacker, password } = server;

/** What a stored text must not become. */
const AGENT = '<img src=//evil.example onerror=alert(1)>';

await run(async () => {
  const strict = await device();
  const own = await signIn(strict, user);
  await cookieIsOutOfReach(strict, own);
  await storedTextIsText(own);
  await addressesLeadNowhereElse(own);
  await byKeyboardAlone();
  const victim = await device({ strict: false });
  const page = await signIn(victim, user);
  await own.close();
  // Another port of the same host is the same site, so its requests carry the cookie; `localhost` is another site.
  for (const host of ['127.0.0.1', 'localhost']) await otherOrigin(victim, page, host);
  await plantedSession();
  await afterSignOut(page);
});

async function signIn(context, email) {
  const page = await open(context, '/account');
  await fill(page, { 'Email address or username': email, Password: password });
  await press(page, 'Sign in');
  await shows(page, 'Profile');
  return page;
}

async function cookieIsOutOfReach(context, page) {
  const cookies = await context.cookies();
  if (cookies.length !== 1) throw new Error(`cookies: ${JSON.stringify(cookies)}`);
  const [{ name, httpOnly, sameSite, path, domain }] = cookies;
  const found = JSON.stringify({ name, httpOnly, sameSite, path, domain });
  const expected = { name: 'signet', httpOnly: true, sameSite: 'Strict', path: '/', domain: new URL(server.url).hostname };
  if (found !== JSON.stringify(expected)) throw new Error(`the cookie is ${found}`);
  const stored = await page.evaluate(() => document.cookie + JSON.stringify({ ...localStorage, ...sessionStorage }));
  if (/ey|signet=/.test(stored)) throw new Error(`scripts can read ${stored}`);
}

/** Calls the native API as a program with a hostile agent does. */
async function call(method, path, body, token) {
  const headers = { 'content-type': 'application/json', 'user-agent': AGENT };
  if (token) headers.authorization = `Bearer ${token}`;
  const response = await fetch(`${server.url}${path}`, { method, headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** Everything that a user or a client chooses, in every view of the account page. */
async function storedTextIsText(page) {
  const text = AGENT.replace('src', 'alt=x src');
  const word = '<img/src=//evil.example/onerror=alert(1)>';
  const { access_token: token } = await call('POST', '/sessions', { email: user, password });
  await call('PATCH', '/me', { full_name: text, username: word }, token);
  const { id } = await call('POST', '/projects', { name: text }, token);
  await call('POST', `/projects/${id}/api-keys`, { name: text, scopes: [word] }, token);

  await page.reload();
  for (const [label, value] of [['Name', text], ['Username', word]]) {
    await field(page, label).waitFor();
    const found = await field(page, label).inputValue();
    if (found !== value) throw new Error(`${label} is ${found}`);
  }
  await page.getByRole('link', { name: 'Sessions' }).click();
  await page.getByTitle(AGENT, { exact: true }).waitFor();
  await page.getByRole('link', { name: 'API keys' }).click();
  await shows(page, `Project ${text}`);
  await says(page, word);
  await button(page, `Delete the key ${text}`).waitFor();
  await check(page, 'keys of two projects');
  // A new key goes into the project that is chosen, and a deleted one comes from there.
  await press(page, 'Create an API key');
  await field(page, 'Project').selectOption({ label: text });
  await fill(page, { Name: 'second' });
  await press(page, 'Create an API key');
  await button(page, 'Delete the key second').waitFor();
  const { api_keys: keys } = await call('GET', `/projects/${id}/api-keys`, undefined, token);
  if (!keys.some(({ name }) => name === 'second')) throw new Error(`keys of the project: ${JSON.stringify(keys)}`);
  await button(page, `Delete the key ${text}`).click();
  await button(page, `Delete the key ${text}`).waitFor({ state: 'detached' });
  await button(page, 'Delete the key second').waitFor();
  await page.getByRole('link', { name: 'Activity' }).click();
  await page.getByRole('listitem').filter({ hasText: 'API key created' }).first().waitFor();
}

/** Nothing in the address of a page sends the browser elsewhere: not to another host, and not to a script. */
async function addressesLeadNowhereElse(page) {
  const elsewhere = ['//evil.example', 'javascript:window.attacked=1'];
  for (const target of elsewhere) {
    const value = encodeURIComponent(target);
    for (const address of [`/account?next=${value}&redirect_uri=${value}&return_to=${value}`, `/account#${target}`,
      `/account#/${target}`, `/links/magic?token=a.b.c&next=${value}#claim=${value}`, `/?next=${value}#${target}`]) {
      await page.goto(new URL(address, server.url).href);
      await page.getByRole('main').waitFor();
      const { origin } = new URL(page.url());
      if (origin !== server.url || await page.evaluate(() => window.attacked)) throw new Error(`${address}: ${page.url()}`);
    }
  }
  await page.goto(new URL('/account', server.url).href);
  await shows(page, 'Profile');
}

/** Signs in, ends a session and signs out without a pointer, and sees at each step where the focus is. */
async function byKeyboardAlone() {
  const page = await open(await device(), '/account');
  await shows(page, 'Sign in');
  await reach(page, 'Email address or username');
  await page.keyboard.type(user);
  await reach(page, 'Password');
  await page.keyboard.type(password);
  await page.keyboard.press('Enter');
  await shows(page, 'Profile');
  await pressKey(page, 'Sessions');
  await says(page, 'this one');
  await pressKey(page, 'End all other sessions', 'Space');
  await says(page, 'There are no other sessions.');
  await pressKey(page, 'Sign out');
  await shows(page, 'Sign in');
}

/** A page of another origin sends requests in the user's name, and frames the account page. */
async function otherOrigin(context, page, host) {
  const target = `${server.url}/account/session`;
  const html = `<!doctype html><title>evil</title><iframe src="${server.url}/account"></iframe>
    <form id="form" method="post" enctype="text/plain" target="into" action="${target}/refresh"><input name="{}" value=""></form>
    <iframe name="into"></iframe>
    <script type="module">
      const attempts = [['${target}/refresh', 'POST'], ['${target}', 'DELETE'], ['${server.url}/me', 'GET']];
      for (const [url, method] of attempts) {
        for (const mode of ['cors', 'no-cors']) {
          const body = method === 'POST' ? '{}' : undefined;
          await fetch(url, { method, mode, credentials: 'include', body }).catch(() => undefined);
        }
      }
      document.getElementById('form').submit();
      document.title = 'done';
    </script>`;
  const listener = createServer((_, response) => response.setHeader('content-type', 'text/html').end(html));
  await new Promise((resolve) => { listener.listen(0, '127.0.0.1', resolve); });
  const origin = `http://${host}:${listener.address().port}`;
  const before = await context.cookies(server.url);
  // The victim's browser, where the rules for our own pages do not hold.
  const evil = await context.newPage();
  const statuses = [];
  evil.on('response', (response) => {
    if (response.url().includes('/account/session')) statuses.push(response.status());
  });
  await evil.route((url) => url.origin !== origin && url.origin !== server.url, (route) => route.abort());
  const posted = evil.waitForResponse((response) =>
    response.url().endsWith('/refresh') && response.request().isNavigationRequest());
  await evil.goto(origin);
  await evil.waitForFunction(() => document.title === 'done');
  await posted;
  if (!statuses.length || statuses.some((status) => status < 400)) throw new Error(`${host}: ${statuses}`);
  const framed = () => evil.frames().find((frame) => frame !== evil.mainFrame() && frame.name() !== 'into').url();
  // In a frame that it has refused, the browser shows a page of its own.
  const deadline = Date.now() + 60_000;
  while (!framed().startsWith('chrome-error:')) {
    if (Date.now() > deadline) throw new Error(`the account page is framed: ${framed()}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
  await evil.close();
  listener.close();
  if (JSON.stringify(before) !== JSON.stringify(await context.cookies(server.url))) throw new Error('the cookie has changed');
  await page.reload();
  await shows(page, 'Profile');
}

/** A cookie that somebody planted is not the session of the user who signs in. */
async function plantedSession() {
  const own = await device();
  await signIn(own, attacker);
  const [cookie] = await own.cookies();
  const context = await device();
  await context.addCookies([cookie]);
  const page = await open(context, '/account');
  await says(page, attacker);
  await press(page, 'Sign out');
  await shows(page, 'Sign in');
  await context.addCookies([{ ...cookie, value: 'garbage' }]);
  await page.reload();
  await shows(page, 'Sign in');
  await fill(page, { 'Email address or username': user, Password: password });
  await press(page, 'Sign in');
  await says(page, user);
  const values = (await context.cookies()).map(({ value }) => value);
  if (values.length !== 1 || ['garbage', cookie.value].includes(values[0])) throw new Error('the cookie is the planted one');
}

/** The browser keeps nothing that shows the account. */
async function afterSignOut(page) {
  await press(page, 'Sign out');
  await shows(page, 'Sign in');
  await page.goto('about:blank');
  await page.goBack();
  await shows(page, 'Sign in');
  if ((await page.content()).includes(user)) throw new Error('the account is shown after sign-out');
  if ((await page.context().cookies()).length) throw new Error('the cookie is kept');
}

// What other pages and other people cannot do to somebody who is signed in.

import { createServer } from 'node:http';

import { device, fill, open, press, run, says, server, shows } from './harness.js';

const { user, attacker, password } = server;

await run(async () => {
  const strict = await device();
  const own = await signIn(strict, user);
  await cookieIsOutOfReach(strict, own);
  await storedTextIsText(own);
  const victim = await device({ strict: false });
  const page = await signIn(victim, user);
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

/** The agent of a session is chosen by whoever opens it. */
async function storedTextIsText(page) {
  const agent = '<img src=//evil.example onerror=alert(1)>';
  const response = await fetch(`${server.url}/sessions`, {
    method: 'POST', headers: { 'content-type': 'application/json', 'user-agent': agent },
    body: JSON.stringify({ email: user, password }),
  });
  if (response.status !== 201) throw new Error(`sign-in: ${response.status}`);
  await page.getByRole('link', { name: 'Sessions' }).click();
  await says(page, agent);
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
  const framed = evil.frames().find((frame) => frame !== evil.mainFrame() && frame.name() !== 'into');
  const text = await framed.evaluate(() => document.body.innerText).catch(() => '');
  if (/Signet|Profile/.test(text)) throw new Error(`the account page is framed: ${text}`);
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

// The whole life of an account, in browsers alone.

import {
  agree, button, check, device, dialog, field, fill, heading, mailedCode, mailedLink, noDialog, open, press, readQr, run,
  says, shows, totp,
} from './harness.js';

const EMAIL = 'zoe@example.org';
const NEW_EMAIL = 'zoe.new@example.org';
const PASSWORD = 'a quiet harbour at dusk';
const NEW_PASSWORD = 'a loud harbour at dawn';
const LAST_PASSWORD = 'an empty harbour at noon';
const MARKUP = '<img src=x onerror=alert(1)>{{x}}';

await run(async () => {
  const laptop = await device();
  const page = await open(laptop, '/account');
  await shows(page, 'Sign in');
  await check(page, 'sign-in');
  await refusals(page);
  await closedRegistration(page);
  await signUp(page);
  await confirmAddress(laptop, page);
  await removeName(page);
  const { uri, codes } = await enrol(page);
  await otherDevice(page, uri);
  const tablet = await losePhone(codes);
  await changeAddress(laptop, page);
  await keysAndData(page);
  await changePassword(page, tablet);
  await disableSecondFactor(page);
  await signInAgain(page);
  await tabsTogether(laptop, page);
  await byMail(laptop, page);
  await forgotten(laptop, page);
  await remove(page);
});

async function refusals(page) {
  await press(page, 'Sign in');
  await says(page, 'Fill in all fields.');
  await fill(page, { 'Email address or username': 'nobody', Password: 'some wrong password' });
  await press(page, 'Sign in');
  await says(page, 'Wrong email address, username or password.');
  await press(page, 'Email me a code');
  await says(page, 'Enter your email address first.');
  await check(page, 'refused sign-in');
  // Another language, and back.
  await press(page, '繁體中文');
  await shows(page, '登入');
  await check(page, 'sign-in in Chinese');
  await press(page, 'English');
  await shows(page, 'Sign in');
}

/** Where nobody may sign up, the page offers no account, and says so at the address of the form. */
async function closedRegistration(page) {
  await page.route('**/account', async (route) => {
    const response = await route.fetch();
    const open = '&quot;registration&quot;:true';
    const text = await response.text();
    if (!text.includes(open)) throw new Error(`registration is closed: ${text}`);
    await route.fulfill({ response, body: text.replace(open, '&quot;registration&quot;:false') });
  });
  await page.reload();
  await shows(page, 'Sign in');
  if (await page.getByRole('link', { name: 'Create an account' }).count()) throw new Error('an account is offered');
  await page.evaluate(() => { location.hash = '#/sign-up'; });
  await says(page, 'New accounts cannot be created here.');
  await check(page, 'closed registration');
  await page.unroute('**/account');
  await page.goto(new URL('/account', page.url()).href);
  await shows(page, 'Sign in');
}

async function signUp(page) {
  await page.getByRole('link', { name: 'Create an account' }).click();
  await shows(page, 'Create an account');
  await says(page, /At least \d+ characters/);
  await fill(page, { 'Email address': EMAIL, 'Name (optional)': MARKUP, Password: 'short' });
  await says(page, ': not met');
  await check(page, 'sign-up');
  await press(page, 'Create account');
  await says(page, 'This password is too short or too common.');
  await fill(page, { Password: PASSWORD });
  await says(page, ': met');
  await press(page, 'Create account');
  await shows(page, 'Profile');
  // The user's input is shown as text, although it is markup.
  if (await field(page, 'Name').inputValue() !== MARKUP) throw new Error('the name is changed');
  await says(page, 'not confirmed');
  await check(page, 'profile');
}

async function confirmAddress(laptop, page) {
  const link = await mailedLink(EMAIL, 'confirm');
  const confirmation = await open(laptop, link);
  await shows(confirmation, 'Confirm your email address');
  if (/token|ey/.test(confirmation.url())) throw new Error(`the token is in the address: ${confirmation.url()}`);
  await check(confirmation, 'confirmation');
  await press(confirmation, 'Confirm');
  await shows(confirmation, 'Email address confirmed');
  await check(confirmation, 'confirmed');
  await confirmation.goto(link);
  await press(confirmation, 'Confirm');
  await shows(confirmation, 'Email address already confirmed');
  await confirmation.goto(`${link}x`);
  await press(confirmation, 'Confirm');
  await shows(confirmation, 'This link does not work any more');
  await check(confirmation, 'dead confirmation');
  await confirmation.close();
  // A reload signs in with the cookie.
  await page.reload();
  await page.getByText('confirmed', { exact: true }).waitFor();
}

async function removeName(page) {
  await fill(page, { Name: '', Username: 'zoe' });
  await press(page, 'Save');
  await says(page, 'Saved.');
  await page.reload();
  await shows(page, 'Profile');
  const names = [await field(page, 'Name').inputValue(), await field(page, 'Username').inputValue()];
  if (names.join() !== ',zoe') throw new Error(`the names are ${names}`);
}

async function enrol(page) {
  await page.getByRole('link', { name: 'Security' }).click();
  await shows(page, 'Second factor');
  await check(page, 'security');
  const limited = JSON.stringify({ type: 'rate_limited', title: 'Too many requests.', status: 429 });
  await page.route('**/totp/qr*', (route) => route.fulfill({
    status: 429, headers: { 'retry-after': '30' }, contentType: 'application/problem+json', body: limited,
  }));
  await press(page, 'Turn on the second factor');
  await says(page, 'Too many attempts. Try again in 1 minute.');
  await page.unroute('**/totp/qr*');
  await press(page, 'Try again');
  const image = page.getByRole('img', { name: 'QR code for an authenticator app' });
  await image.waitFor();
  const uri = await readQr(image);
  await check(page, 'enrolment');
  await fill(page, { 'Six digits from the app': '000000', Password: PASSWORD });
  await press(page, 'Turn on');
  await page.getByRole('alert').waitFor();
  await fill(page, { 'Six digits from the app': totp(uri) });
  await press(page, 'Turn on');
  await shows(page, 'Keep these recovery codes');
  const codes = await page.locator('.codes code').allInnerTexts();
  if (codes.length < 3) throw new Error(`recovery codes: ${codes}`);
  await check(page, 'recovery codes');
  await press(page, 'I have kept them');
  await says(page, `${codes.length} recovery codes left.`);
  if ((await page.innerText('body')).includes(codes[0])) throw new Error('recovery codes are shown again');
  return { uri, codes };
}

/** Signs in on a new device, with the password and then with the second factor. */
async function signIn(secondFactor, email = EMAIL, password = PASSWORD) {
  const page = await open(await device(), '/account');
  await shows(page, 'Sign in');
  await fill(page, { 'Email address or username': email, Password: password });
  await page.keyboard.press('Enter');
  if (secondFactor) await secondFactor(page);
  await shows(page, 'Profile');
  return page;
}

async function otherDevice(page, uri) {
  const phone = await signIn(async (phone) => {
    await shows(phone, 'Second factor');
    await check(phone, 'second factor');
    await fill(phone, { 'Code from your authenticator app': totp(uri, 1) });
    await press(phone, 'Sign in');
  });
  await page.getByRole('link', { name: 'Sessions' }).click();
  await says(page, 'this one');
  await check(page, 'sessions');
  await page.getByRole('button', { name: /^End the session of/ }).click();
  await says(page, 'Session ended.');
  // The other device learns of it at its next request.
  await phone.getByRole('link', { name: 'Security' }).click();
  await phone.getByRole('link', { name: 'Sessions' }).click();
  await says(phone, 'Your session has ended. Sign in again.');
  await shows(phone, 'Sign in');
  await check(phone, 'session ended elsewhere');
  await phone.context().close();
}

async function losePhone(codes) {
  const enter = async (page) => {
    await press(page, 'Use a recovery code');
    await fill(page, { 'Recovery code': codes[0] });
    await press(page, 'Sign in');
  };
  const tablet = await signIn(async (page) => {
    await enter(page);
    await shows(page, 'Profile');
  });
  // Each works once.
  const thief = await open(await device(), '/account');
  await fill(thief, { 'Email address or username': EMAIL, Password: PASSWORD });
  await press(thief, 'Sign in');
  await enter(thief);
  await says(thief, 'The code is wrong.');
  await check(thief, 'used recovery code');
  await thief.context().close();
  return tablet;
}

async function changeAddress(laptop, page) {
  await page.getByRole('link', { name: 'Profile' }).click();
  await press(page, 'Change the address');
  await fill(page, { 'New email address': NEW_EMAIL, 'Current password': 'some wrong password' });
  await check(page, 'change of address');
  await press(page, 'Change the address');
  await says(page, 'The password is wrong.');
  await fill(page, { 'Current password': PASSWORD });
  await press(page, 'Change the address');
  await says(page, `Open the link that we sent to ${NEW_EMAIL}.`);
  const confirmation = await open(laptop, await mailedLink(NEW_EMAIL, 'confirm'));
  await press(confirmation, 'Confirm');
  await shows(confirmation, 'Email address confirmed');
  await confirmation.close();
  await page.reload();
  await says(page, NEW_EMAIL);
}

async function keysAndData(page) {
  await page.getByRole('link', { name: 'API keys' }).click();
  await says(page, 'You have no API keys.');
  await press(page, 'Create an API key');
  await fill(page, { Name: MARKUP, 'Scopes (optional)': 'builds:read builds:write', 'Days until it expires (optional)': '30' });
  await check(page, 'creation of a key');
  await press(page, 'Create an API key');
  const key = await field(page, 'API key').inputValue();
  if (!key.startsWith('sk_')) throw new Error(`the key is ${key}`);
  await says(page, 'builds:read builds:write');
  await check(page, 'keys');
  await page.getByRole('button', { name: /^Delete the key/ }).click();
  await says(page, 'You have no API keys.');

  await page.getByRole('link', { name: 'Activity' }).click();
  await page.getByRole('listitem').filter({ hasText: 'just now' }).first().waitFor();
  await check(page, 'activity');

  await page.getByRole('link', { name: 'Your data' }).click();
  const download = page.waitForEvent('download');
  await press(page, 'Download');
  const chunks = [];
  for await (const chunk of await (await download).createReadStream()) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  JSON.parse(text);
  if (!text.includes(NEW_EMAIL) || text.includes(key)) throw new Error(`the export is ${text}`);
  await check(page, 'own data');
  // The back button goes through the views.
  await page.goBack();
  await shows(page, 'Activity');
  await page.goForward();
  await shows(page, 'Export');
}

async function changePassword(page, tablet) {
  await page.getByRole('link', { name: 'Security' }).click();
  await fill(page, { 'Current password': 'some wrong password', 'New password': NEW_PASSWORD });
  await press(page, 'Change password');
  await says(page, 'The password is wrong.');
  await fill(page, { 'Current password': PASSWORD });
  await press(page, 'Change password');
  await says(page, 'Password changed. Your other sessions have ended.');
  await tablet.reload();
  await shows(tablet, 'Sign in');
  await tablet.context().close();
}

async function disableSecondFactor(page) {
  await press(page, 'New recovery codes');
  await field(dialog(page), 'Password').fill(NEW_PASSWORD);
  await check(page, 'question');
  await agree(page, 'New recovery codes');
  await shows(page, 'Keep these recovery codes');
  await press(page, 'I have kept them');
  await press(page, 'Turn off the second factor');
  // The dialog is open as soon as the button is pressed, so the key is for it.
  await page.keyboard.press('Escape');
  await noDialog(page);
  await press(page, 'Turn off the second factor');
  await field(dialog(page), 'Password').fill(NEW_PASSWORD);
  await agree(page, 'Turn off the second factor');
  await button(page, 'Turn on the second factor').waitFor();
}

/** A change that needs a recent sign-in asks for the password and goes on; the session before it is ended. */
async function signInAgain(page) {
  await page.getByRole('link', { name: 'API keys' }).click();
  await press(page, 'Create an API key');
  await fill(page, { Name: 'deployments' });
  const body = { type: 'insufficient_user_authentication', title: 'Sign in again.', status: 401 };
  await page.route('**/projects/*/api-keys', (route) => (route.request().method() === 'POST'
    ? route.fulfill({ status: 401, contentType: 'application/problem+json', json: body }) : route.fallback()));
  await press(page, 'Create an API key');
  await shows(page, 'Sign in again');
  await check(page, 'asked to sign in again');
  await page.unroute('**/projects/*/api-keys');
  // The session before is ended even if sessions cannot be listed.
  await page.route('**/sessions', (route) => route.abort());
  await field(dialog(page), 'Password').fill(NEW_PASSWORD);
  await agree(page, 'Sign in');
  await says(page, 'deployments');
  await page.unroute('**/sessions');
  await page.getByRole('link', { name: 'Sessions' }).click();
  await says(page, 'this one');
  if (await page.getByRole('button', { name: /^End the session of/ }).count()) throw new Error('the old session is open');
  await page.getByRole('link', { name: 'Security' }).click();
}

async function tabsTogether(laptop, page) {
  // Two tabs that refresh at once, with and without the lock of the browser, stay signed in.
  const second = await open(laptop, '/account');
  await shows(second, 'Profile');
  await Promise.all([page.reload(), second.reload()]);
  await Promise.all([shows(page, 'Password'), shows(second, 'Profile')]);
  const refresh = (tab) => tab.evaluate(async () => {
    const response = await fetch('/account/session/refresh', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}',
    });
    return response.status;
  });
  const statuses = await Promise.all([refresh(page), refresh(second)]);
  if (statuses.some((status) => status !== 201)) throw new Error(`refreshes at once: ${statuses}`);
  await Promise.all([page.reload(), second.reload()]);
  await Promise.all([shows(page, 'Password'), shows(second, 'Profile')]);
  // Signing out in one signs out both, and the back button shows nothing of the account.
  await press(second, 'Sign out');
  await Promise.all([shows(page, 'Sign in'), shows(second, 'Sign in')]);
  await page.goto('about:blank');
  await page.goBack();
  await shows(page, 'Sign in');
  if ((await page.innerText('body')).includes(NEW_EMAIL)) throw new Error('the account is shown after sign-out');
  await second.close();
}

async function byMail(laptop, page) {
  // A link signs in the page that asked for it too; elsewhere it explains what to do.
  await fill(page, { 'Email address or username': NEW_EMAIL });
  await press(page, 'Email me a link');
  await shows(page, 'Open the link in the email');
  await check(page, 'link sent');
  const link = await mailedLink(NEW_EMAIL, 'magic');
  const secret = await page.evaluate(() => localStorage.getItem('signet.device_secret.magic'));
  if (!secret) throw new Error('the browser has no device secret');
  // Elsewhere, a secret in the address changes nothing: a sender could add that of a link to the sender's own account.
  for (const added of [`#claim=${secret}`, `&device_secret=${secret}`]) {
    const planted = await open(await device(), `${link}${added}`);
    await shows(planted, 'Open this link where you asked for it');
    await planted.context().close();
  }
  const other = await open(await device(), link);
  await shows(other, 'Open this link where you asked for it');
  await check(other, 'another device');
  await other.context().close();
  const here = await open(laptop, link);
  await shows(here, 'Sign in');
  await check(here, 'magic link');
  await press(here, 'Sign in');
  await shows(here, 'You are signed in');
  // The waiting page is where it was before its session ended.
  await shows(page, 'Password');
  await here.close();
  await press(page, 'Sign out');
  await shows(page, 'Sign in');
  const used = await open(laptop, link);
  await enterSecret(used);
  await press(used, 'Sign in');
  await shows(used, 'This link does not work any more');
  await check(used, 'dead magic link');
  await used.close();

  await fill(page, { 'Email address or username': NEW_EMAIL });
  await press(page, 'Email me a code');
  await shows(page, 'Enter the code');
  await check(page, 'mailed code');
  const code = await mailedCode(NEW_EMAIL);
  await fill(page, { 'Code from the email': code === '000000' ? '000001' : '000000' });
  await press(page, 'Sign in');
  await says(page, 'The code is wrong, already used or expired.');
  await fill(page, { 'Code from the email': code });
  await press(page, 'Sign in');
  await shows(page, 'Profile');
}

/** Enters a device secret on the page of a link, which has none. */
async function enterSecret(page) {
  await page.getByText('I have the secret of this link').click();
  await fill(page, { Secret: 'unknown' });
  await press(page, 'Continue');
}

async function forgotten(laptop, page) {
  await press(page, 'Sign out');
  await page.getByRole('link', { name: 'Forgot your password?' }).click();
  await shows(page, 'Forgot your password?');
  await fill(page, { 'Email address': NEW_EMAIL });
  await check(page, 'forgotten password');
  await press(page, 'Send the link');
  await shows(page, 'Open the link in the email');
  const link = await mailedLink(NEW_EMAIL, 'reset');
  const other = await open(await device(), link);
  await shows(other, 'Open this link where you asked for it');
  await check(other, 'reset on another device');
  await other.context().close();
  const reset = await open(laptop, link);
  await shows(reset, 'Choose a new password');
  await check(reset, 'reset');
  await fill(reset, { 'New password': 'short' });
  await press(reset, 'Change password');
  await says(reset, 'This password is too short or too common.');
  await fill(reset, { 'New password': LAST_PASSWORD });
  await press(reset, 'Change password');
  await shows(reset, 'Password changed');
  await check(reset, 'reset done');
  await reset.goto(link);
  await enterSecret(reset);
  await fill(reset, { 'New password': LAST_PASSWORD });
  await press(reset, 'Change password');
  await shows(reset, 'This link does not work any more');
  await reset.goto(new URL('/links/reset', reset.url()).href);
  await shows(reset, 'This link is incomplete');
  await check(reset, 'incomplete link');
  await reset.close();
  await page.goto(new URL('/account', page.url()).href);
  await shows(page, 'Sign in');
  await fill(page, { 'Email address or username': NEW_EMAIL, Password: LAST_PASSWORD });
  await press(page, 'Sign in');
  await shows(page, 'Profile');
}

async function remove(page) {
  await page.getByRole('link', { name: 'Your data' }).click();
  await press(page, 'Delete your account');
  await field(dialog(page), `Type ${NEW_EMAIL} to confirm`).fill('something else');
  await field(dialog(page), 'Password').fill(LAST_PASSWORD);
  await agree(page, 'Delete for good');
  await dialog(page).getByRole('alert').waitFor();
  await check(page, 'deletion');
  await field(dialog(page), `Type ${NEW_EMAIL} to confirm`).fill(NEW_EMAIL);
  await agree(page, 'Delete for good');
  await says(page, 'Your account is deleted.');
  await fill(page, { 'Email address or username': NEW_EMAIL, Password: LAST_PASSWORD });
  await press(page, 'Sign in');
  await says(page, 'Wrong email address, username or password.');
  await heading(page, 'Sign in').waitFor();
}

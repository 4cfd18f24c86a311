// Redis and Postgres are killed while the account page and the console are open: the pages say what is wrong, keep what
// was typed, and go on once the store is back.

import { ask, button, check, device, field, fill, open, press, run, says, server, shows } from './harness.js';

const { superuser, user, password, console: consoleUrl } = server;

const TYPED = 'Zoe, typed before the store was killed';
const NEW_PASSWORD = 'a loud harbour at dawn';
const UNAVAILABLE = 'The service is unavailable. Try again in a moment.';

await run(async () => {
  const context = await device();
  const [page, sessions] = [await signIn(context, '/account', user), await open(context, '/account')];
  await shows(sessions, 'Profile');
  const operator = await openConsole();
  await page.getByRole('link', { name: 'Security' }).click();
  await fill(page, { 'Current password': password, 'New password': NEW_PASSWORD });
  await ask('kill redis');
  await withoutRedis(page, sessions, operator);

  await page.getByRole('link', { name: 'Profile' }).click();
  await fill(page, { Name: TYPED });
  await ask('kill postgres');
  await withoutPostgres(page, operator);
});

async function signIn(context, address, email) {
  const page = await open(context, address);
  await fill(page, { 'Email address or username': email, Password: password });
  await press(page, 'Sign in');
  return page;
}

/** The screen of the users, with a user half entered. */
async function openConsole() {
  const page = await signIn(await device(), consoleUrl, superuser);
  await shows(page, 'Overview');
  await page.getByRole('navigation').getByRole('link', { name: 'Users', exact: true }).click();
  await says(page, user);
  await press(page, 'Create user');
  await fill(page, { 'Email address': 'typed@example.org' });
  return page;
}

/** The console names the store, shows what it has read, and changes nothing. */
async function readOnly(page, text) {
  await says(page, text);
  await says(page, 'What is shown can be read, but nothing can be changed.');
  await says(page, user);
  await page.getByRole('dialog').getByRole('button', { name: 'Create user', exact: true }).click();
  await page.getByRole('dialog').getByText('Nothing can be changed while a part of the service is down.').waitFor();
  await isTyped(page, 'Email address', 'typed@example.org');
}

/**
 * The console sees that the store is back, and users sign in again: the listener of the console and that of the users
 * have connections of their own.
 */
async function isBack(page, currentPassword) {
  await page.getByText('What is shown can be read').first().waitFor({ state: 'detached' });
  const body = JSON.stringify({ email: user, password: currentPassword });
  const headers = { 'content-type': 'application/json' };
  const deadline = Date.now() + 60_000;
  while ((await fetch(new URL('/sessions', server.url), { method: 'POST', headers, body })).status !== 201) {
    if (Date.now() > deadline) throw new Error('users do not sign in again');
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

async function isTyped(page, label, value) {
  const found = await field(page, label).inputValue();
  if (found !== value) throw new Error(`${label} is ${found}`);
}

async function withoutRedis(page, sessions, operator) {
  await press(page, 'Change password');
  await says(page, UNAVAILABLE);
  await isTyped(page, 'Current password', password);
  await isTyped(page, 'New password', NEW_PASSWORD);
  await check(page, 'a change without Redis');
  await sessions.getByRole('link', { name: 'Sessions' }).click();
  await says(sessions, UNAVAILABLE);
  // Without Redis the page cannot know whether there is a session, so it must not say that it has ended.
  const anew = await open(page.context(), '/account');
  await says(anew, UNAVAILABLE);
  await check(anew, 'start without Redis');
  await readOnly(operator, 'The store of sessions does not answer.');
  await check(operator, 'console without Redis');

  await ask('restart redis');
  await isBack(operator, password);
  await press(sessions, 'Try again');
  await says(sessions, 'this one');
  await press(anew, 'Try again');
  await shows(anew, 'Profile');
  await press(page, 'Change password');
  await says(page, 'Password changed. Your other sessions have ended.');
}

async function withoutPostgres(page, operator) {
  await press(page, 'Save');
  await says(page, UNAVAILABLE);
  await isTyped(page, 'Name', TYPED);
  await readOnly(operator, 'The store of users does not answer.');

  await ask('restart postgres');
  await isBack(operator, NEW_PASSWORD);
  await press(page, 'Save');
  await says(page, 'Saved.');
  await page.reload();
  await shows(page, 'Profile');
  await isTyped(page, 'Name', TYPED);
  await operator.getByRole('dialog').getByRole('button', { name: 'Create user', exact: true }).click();
  await shows(operator, 'typed@example.org');
  if (await button(operator, 'Edit').isDisabled()) throw new Error('nothing can be changed');
}

// The account page, from the first sign-in to the deletion of the account.

import {
  agree, dialog, field, fill, heading, mailedLink, noDialog, open, press, readQr, says, shows, totp,
} from '../../tests/it/browser/harness.js';
import { FORM, NARROW, picture, WIDE, windowOf } from './picture.js';
import { ADA, call, GRACE, PASSWORD } from './scene.js';

export async function picturesOfAccount() {
  await entrances();
  await links();
  const context = await windowOf(WIDE);
  const page = await open(context, '/account');
  await signIn(page, ADA);
  await shows(page, 'Profile');
  const uri = await views(page);
  await secondStep(uri);
  await narrow(uri);
  await narrowInChinese();
  await endings(page);
}

async function signIn(page, email) {
  await fill(page, { 'Email address or username': email, Password: PASSWORD });
  await press(page, 'Sign in');
}

const go = (page, name) => page.getByRole('link', { name, exact: true }).click();

/** The forms of somebody who is not signed in. */
async function entrances() {
  const page = await open(await windowOf(FORM), '/account');
  await shows(page, 'Sign in');
  await picture(page, 'account-sign-in');
  await fill(page, { 'Email address or username': ADA, Password: 'not the password' });
  await press(page, 'Sign in');
  await says(page, 'Wrong email address, username or password.');
  await picture(page, 'account-refused');
  await press(page, 'Email me a code');
  await shows(page, 'Enter the code');
  await picture(page, 'account-mailed-code');
  await press(page, 'Sign in another way');
  await go(page, 'Create an account');
  await fill(page, { 'Email address': 'kim@example.org', 'Name (optional)': 'Kim Park', Password: 'harbour' });
  await says(page, ': not met');
  await picture(page, 'account-sign-up');
  await go(page, 'Sign in');
  await go(page, 'Forgot your password?');
  await fill(page, { 'Email address': ADA });
  await picture(page, 'account-forgotten');
  await press(page, 'Send the link');
  await shows(page, 'Open the link in the email');
  await picture(page, 'account-link-sent');
  await page.context().close();
}

/** The path of a mailed link, whose host is that of the public URL. */
const pathOf = (link) => `${new URL(link).pathname}${new URL(link).search}`;

/** The pages of mailed links. */
async function links() {
  const context = await windowOf(FORM);
  const page = await open(context, '/account');
  await fill(page, { 'Email address or username': GRACE });
  await press(page, 'Email me a link');
  await shows(page, 'Open the link in the email');
  const link = pathOf(await mailedLink(GRACE, 'magic'));
  const elsewhere = await open(await windowOf(FORM), link);
  await shows(elsewhere, 'Open this link where you asked for it');
  await picture(elsewhere, 'account-other-device');
  await elsewhere.context().close();
  const dead = await open(await windowOf(FORM), link);
  await dead.getByText('I have the secret of this link').click();
  await fill(dead, { Secret: 'unknown' });
  await press(dead, 'Continue');
  await press(dead, 'Sign in');
  await shows(dead, 'This link does not work any more');
  await picture(dead, 'account-dead-link');
  await dead.context().close();
  const magic = await open(context, link);
  await shows(magic, 'Sign in');
  await picture(magic, 'account-magic-link');
  await press(magic, 'Sign in');
  await shows(magic, 'You are signed in');
  await context.close();

  const reset = await windowOf(FORM);
  const asking = await open(reset, '/account#/forgotten');
  await fill(asking, { 'Email address': GRACE });
  await press(asking, 'Send the link');
  await shows(asking, 'Open the link in the email');
  const choosing = await open(reset, pathOf(await mailedLink(GRACE, 'reset')));
  await shows(choosing, 'Choose a new password');
  await picture(choosing, 'account-reset');
  await reset.close();

  const email = 'kim@example.org';
  await call('POST', '/users', { body: { email, password: PASSWORD, full_name: 'Kim Park' } });
  const confirming = await open(await windowOf(FORM), pathOf(await mailedLink(email, 'confirm')));
  await shows(confirming, 'Confirm your email address');
  await picture(confirming, 'account-confirmation');
  await confirming.context().close();
}

/** The views of somebody who is signed in. Returns the secret of the second factor. */
async function views(page) {
  await picture(page, 'account-profile');
  await press(page, 'Change the address');
  await fill(page, { 'New email address': 'ada.lovelace@example.org', 'Current password': PASSWORD });
  await picture(page, 'account-address');
  await press(page, 'Cancel');

  await go(page, 'API keys');
  await says(page, 'builds:read');
  await press(page, 'Create an API key');
  await fill(page, {
    Name: 'deployments', 'Scopes (optional)': 'deployments:write', 'Days until it expires (optional)': '30',
  });
  await press(page, 'Create an API key');
  await field(page, 'API key').waitFor();
  await picture(page, 'account-api-keys');

  await go(page, 'Security');
  await shows(page, 'Second factor');
  await picture(page, 'account-security');
  await press(page, 'Turn on the second factor');
  const image = page.getByRole('img', { name: 'QR code for an authenticator app' });
  await image.waitFor();
  const uri = await readQr(image);
  await picture(page, 'account-second-factor', { most: 1300 });
  await fill(page, { 'Six digits from the app': totp(uri), Password: PASSWORD });
  await press(page, 'Turn on');
  await shows(page, 'Keep these recovery codes');
  await picture(page, 'account-recovery-codes');
  await press(page, 'I have kept them');
  await says(page, 'recovery codes left.');

  await go(page, 'Sessions');
  await says(page, 'this one');
  await picture(page, 'account-sessions');
  await go(page, 'Activity');
  await says(page, 'Second factor turned on');
  await picture(page, 'account-activity', { most: 800 });
  return uri;
}

/** Signs in with the second factor, whose codes work once. */
async function secondStep(uri) {
  const page = await open(await windowOf(FORM), '/account');
  await signIn(page, ADA);
  await shows(page, 'Second factor');
  await fill(page, { 'Code from your authenticator app': totp(uri, 1) });
  await picture(page, 'account-second-step');
  await page.context().close();
}

/** The smallest screen. */
async function narrow(uri) {
  const page = await open(await windowOf(NARROW), '/account');
  await signIn(page, ADA);
  await shows(page, 'Second factor');
  await fill(page, { 'Code from your authenticator app': totp(uri, 1) });
  await press(page, 'Sign in');
  await go(page, 'Sessions');
  await says(page, 'this one');
  await picture(page, 'account-narrow', { most: 1200 });
  await page.context().close();
}

async function narrowInChinese() {
  const page = await open(await windowOf(NARROW, { locale: 'zh-TW' }), '/account');
  await shows(page, '登入');
  await picture(page, 'account-narrow-chinese', { most: 1200 });
  await page.context().close();
}

/** Export and deletion. */
async function endings(page) {
  await go(page, 'Your data');
  await heading(page, 'Export').waitFor();
  await picture(page, 'account-data');
  await press(page, 'Delete your account');
  await field(dialog(page), `Type ${ADA} to confirm`).fill(ADA);
  await picture(page, 'account-deletion', { least: 640 });
  await agree(page, 'Cancel');
  await noDialog(page);
}

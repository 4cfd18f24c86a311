// Pages of links that programs requested: the device's half is in the program, not in this browser.

import { check, device, fill, open, press, run, server, shows } from './harness.js';

await run(async () => {
  const context = await device();
  let posted = 0;
  context.on('request', (request) => { posted += request.method() === 'POST' ? 1 : 0; });

  // Every form of link: the token leaves the address before anything is sent, and opening the link sends nothing.
  for (const link of server.confirmations) {
    const page = await open(context, link);
    await shows(page, 'Confirm your email address');
    if (new URL(page.url()).href !== `${server.url}/links/confirm`) throw new Error(`the address is ${page.url()}`);
    if (posted) throw new Error(`${link} was used by opening it`);
    await page.close();
  }
  const again = await open(context, server.confirmations[0]);
  await press(again, 'Confirm');
  await shows(again, 'Email address confirmed');
  await again.goBack();
  if (again.url().includes('token=')) throw new Error(`the history has ${again.url()}`);
  await again.close();

  // The token says whether the half is needed.
  const reset = await open(context, server.reset);
  await shows(reset, 'Open this link where you asked for it');
  await reset.getByText('I have the secret of this link').click();
  await check(reset, 'secret of a link');
  await fill(reset, { Secret: server.claim });
  await press(reset, 'Continue');
  await fill(reset, { 'New password': 'a loud harbour at dawn' });
  await press(reset, 'Change password');
  await shows(reset, 'Password changed');

  for (const link of [server.reset_without, server.reset_by_administrator]) {
    const without = await open(context, link);
    await fill(without, { 'New password': 'a loud harbour at dawn' });
    await press(without, 'Change password');
    await shows(without, 'Password changed');
  }
});

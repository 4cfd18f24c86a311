// The API keys of somebody who has several projects, also beyond the limit of how often keys are listed.

import assert from 'node:assert/strict';
import { button, check, device, field, fill, open, press, run, says, server, shows } from './harness.js';

const { user, password, weather } = server;

/** A request for the keys of a project. */
const LIST = /\/projects\/([^/]+)\/api-keys\?/;

/** What the server answers beyond a limit. */
const LIMITED = {
  status: 429, headers: { 'retry-after': '30' }, contentType: 'application/problem+json',
  body: JSON.stringify({ type: 'rate_limited', title: 'Too many requests.', status: 429 }),
};

/** The projects whose keys were asked for, by their ids. */
const listed = [];

await run(async () => {
  const page = await open(await device(), '/account');
  await fill(page, { 'Email address or username': user, Password: password });
  await press(page, 'Sign in');
  await shows(page, 'Profile');
  page.on('request', (request) => {
    const found = LIST.exec(request.url());
    if (found) listed.push(found[1]);
  });
  await beyondTheLimit(page);
  await changesOfOneProject(page);
});

/** Keys that were listed are shown. Projects whose keys are missing are named, and can be listed later. */
async function beyondTheLimit(page) {
  let requests = 0;
  await page.route(LIST, (route) => {
    requests += 1;
    // The first is for the personal project.
    return requests === 1 ? route.continue() : route.fulfill(LIMITED);
  });
  await page.getByRole('link', { name: 'API keys' }).click();
  await shows(page, 'Project Personal');
  await says(page, /^The keys of these projects are not shown: (Shop, Weather|Weather, Shop)$/);
  await says(page, 'Too many attempts. Try again in 1 minute.');
  assert.equal(requests, 2, 'no project is asked for after a refusal');
  await check(page, 'keys beyond the limit');
  await page.unroute(LIST);
  listed.length = 0;
  await press(page, 'Try again');
  await shows(page, 'Project Shop');
  await shows(page, 'Project Weather');
  assert.equal(listed.length, 2, 'only the missing projects are asked for');
  assert.equal(await button(page, 'Try again').count(), 0);
}

/** A change lists the keys of its project again. If that is refused, the page does not show the old ones. */
async function changesOfOneProject(page) {
  listed.length = 0;
  await press(page, 'Create an API key');
  await field(page, 'Project').selectOption({ label: 'Weather' });
  await fill(page, { Name: 'deployments' });
  await press(page, 'Create an API key');
  const remove = button(page, 'Delete the key deployments');
  await remove.waitFor();
  assert.deepEqual(listed, [weather]);
  await page.route(LIST, (route) => route.fulfill(LIMITED));
  await remove.click();
  await says(page, 'The keys of these projects are not shown: Weather');
  assert.equal(await remove.count(), 0);
  await shows(page, 'Project Shop');
  await page.unroute(LIST);
  await press(page, 'Try again');
  await shows(page, 'Project Weather');
  assert.equal(await remove.count(), 0);
  assert.deepEqual(listed, [weather, weather, weather]);
}

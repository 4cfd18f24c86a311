// The page at `/`, and the API reference.

import { open, shows } from '../../tests/it/browser/harness.js';
import { FORM, picture, WIDE, windowOf } from './picture.js';

export async function picturesOfPages() {
  const home = await open(await windowOf(FORM), '/');
  await shows(home, 'Signet');
  await picture(home, 'home');
  await home.close();

  const context = await windowOf(WIDE);
  const reference = await open(context, '/docs');
  await reference.locator('details.operation').first().waitFor();
  await picture(reference, 'docs', { most: 760 });
  const operation = reference.locator('details.operation').filter({ hasText: '/sessions' }).first();
  await operation.locator('summary').first().click();
  await reference.getByRole('main').getByRole('heading', { name: 'Sign in', exact: true }).first()
    .evaluate((heading) => { heading.scrollIntoView(); scrollBy(0, -24); });
  await picture(reference, 'docs-operation', { most: 900 });
  await context.close();
}

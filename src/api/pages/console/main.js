// The console: for superusers. What it shows comes from the administration calls of the native API, which check the
// caller; nothing on this page is a secret.

import { startPage } from '../base/page.js';
import { restoreSession } from '../base/session.js';
import { Console } from './console.js';

void restoreSession();
void startPage({ words: (language) => import(`./words/${language}.js`), view: Console });

// The console, for superusers. Its data comes from the administration calls of the native API, which check the caller.
// The page itself has no secret.

import { startPage } from '../base/page.js';
import { restoreSession } from '../base/session.js';
import { Console } from './console.js';

void restoreSession();
void startPage({ words: (language) => import(`./words/${language}.js`), view: Console });

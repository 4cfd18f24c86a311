// Starts the account page, and the landing pages of mailed links, which are views of it.

import { startPage } from '../base/page.js';
import { App } from './account.js';
import { takeLink } from './links.js';

// Before anything is loaded: the token of a link must not stay in the address bar or the history.
takeLink();

await startPage({ words: (language) => import(`./words/${language}.js`), view: App });

// The page at `/`.

import { startPage } from '../base/page.js';
import { Home } from './home.js';

await startPage({ words: (language) => import(`./words/${language}.js`), view: Home });

// Makes the pictures of this folder: every screen of the pages, in light and dark.
//
//   cargo build && target/tools/bin/node docs/screenshots/make.js [PROGRAM]
//
// `./test` installs what it needs: node, Playwright, Chromium. Chinese needs a font: Debian's fonts-noto-cjk. It
// starts a server of its own on free ports, with its data in a temporary directory, and drives the pages as the browser
// tests do, whose rules hold here too. It deletes the pictures of this folder that it did not make. PROGRAM is another
// binary than that of `cargo build`.

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { consoleUrl, outbox, start, url } from './scene.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const browsers = ['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome'];
const chromium = browsers.map((name) => join('/usr/bin', name)).find(existsSync);
const end = await start(process.argv[2] ?? join(root, 'target/debug/signet'));
// `run` of the harness ends the process.
process.on('exit', end);

const tools = join(root, 'target/tools/pages');
process.env.SIGNET_BROWSER = JSON.stringify({ url, outbox, tools, chromium, api: consoleUrl, looks: false });
const { run } = await import('../../tests/it/browser/harness.js');
const { removeOthers } = await import('./picture.js');
const { picturesOfConsole } = await import('./console.js');
const { picturesOfPages } = await import('./pages.js');
const { picturesOfAccount } = await import('./account.js');

await run(async () => {
  await picturesOfConsole();
  await picturesOfPages();
  await picturesOfAccount();
  removeOthers();
});

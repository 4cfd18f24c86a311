// Makes the pictures of this folder: the overview of the console, and the sessions on the account page.
//
//   cargo build && target/tools/bin/node docs/screenshots/make.js
//
// `./test` installs what it needs: node, Playwright, Chromium. It starts a server of its own on free ports, with its data
// in a temporary directory. Another binary can be given as an argument.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const { chromium } = createRequire(join(root, 'target/tools/pages/package.json'))('playwright-core');
const program = process.argv[2] ?? join(root, 'target/debug/signet');
const browsers = ['chromium', 'chromium-browser', 'google-chrome'].map((name) => join('/usr/bin', name));

const PASSWORD = 'correct horse battery staple';
const ADMINISTRATOR = 'you@example.org';

/** The largest picture, in bytes: everybody who clones the repository loads it. */
const MAX_BYTES = 150_000;

/** So long the requests go on before the picture: the chart has a point for every five seconds. */
const TRAFFIC_MS = 70_000;

const AGENTS = {
  phone: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile Safari/604.1',
  laptop: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15',
};

const folder = mkdtempSync(join(tmpdir(), 'signet-screenshots-'));
const [port, management] = [await freePort(), await freePort()];
const url = `http://127.0.0.1:${port}`;
const env = {
  ...process.env,
  SIGNET_DATA_DIR: folder,
  SIGNET_SERVER__LISTEN: `127.0.0.1:${port}`,
  SIGNET_SERVER__MANAGEMENT: `127.0.0.1:${management}`,
  SIGNET_SERVER__PUBLIC_URL: url,
  SIGNET_LIMITS__SIGN_IN_ACCOUNT: '10000 per 5m',
  SIGNET_LIMITS__SIGN_IN_ADDRESS: '10000 per 5m',
};
const server = spawn(program, [], { cwd: folder, env, stdio: 'ignore' });
const browser = await chromium.launch({
  executablePath: browsers.find(existsSync), args: ['--no-sandbox', '--disable-gpu', '--force-device-scale-factor=1'],
});
try {
  await answers(`http://127.0.0.1:${management}/healthz`);
  createUser(ADMINISTRATOR, '--superuser');
  for (const name of ['ada', 'byron', 'zoe']) createUser(`${name}@example.org`);
  for (const agent of Object.values(AGENTS)) await signIn(ADMINISTRATOR, agent);
  await traffic();
  await picture('account', `${url}/account`, 505, async (page) => {
    await page.getByRole('link', { name: 'Sessions' }).click();
    await page.getByText('this one').first().waitFor();
  });
  await picture('console', `http://127.0.0.1:${management}/console`, 720,
    (page) => page.getByRole('heading', { name: 'Traffic of this node' }).waitFor());
} finally {
  await browser.close();
  server.kill();
  rmSync(folder, { recursive: true, force: true });
}

/** A port that nothing uses now. */
function freePort() {
  return new Promise((resolve) => {
    const listener = createServer().listen(0, '127.0.0.1', () => {
      const { port: free } = listener.address();
      listener.close(() => resolve(free));
    });
  });
}

/** Waits until the server answers. */
async function answers(address) {
  for (let tries = 0; tries < 300; tries += 1) {
    if (await fetch(address).then((response) => response.ok, () => false)) return;
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  throw new Error(`${program} does not answer`);
}

function createUser(email, ...options) {
  const command = ['users', 'create', '--email', email, '--verified', '--password-stdin', ...options];
  const { status, stderr } = spawnSync(program, command, { cwd: folder, env, input: PASSWORD, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

async function signIn(email, agent, password = PASSWORD) {
  const headers = { 'content-type': 'application/json', 'user-agent': agent };
  const response = await fetch(`${url}/sessions`, {
    method: 'POST', headers, body: JSON.stringify({ email, password }),
  });
  return response.json();
}

/** Signs in, verifies and refreshes for a while, so that the charts have something to show. */
async function traffic() {
  const until = Date.now() + TRAFFIC_MS;
  for (let round = 0; Date.now() < until; round += 1) {
    const { access_token: token, refresh_token: refresh } = await signIn('ada@example.org', AGENTS.laptop);
    await signIn('byron@example.org', AGENTS.phone, round % 3 ? PASSWORD : 'not the password');
    const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refresh });
    await fetch(`${url}/oauth/token`, { method: 'POST', body: form });
    for (let verified = 0; verified < 20 + (20 * (round % 4)); verified += 1) {
      await fetch(`${url}/verify`, { headers: { authorization: `Bearer ${token}` } });
    }
    await new Promise((resolve) => { setTimeout(resolve, 200); });
  }
}

/** Signs in on a page, goes where `ready` goes, and takes the picture. */
async function picture(name, address, height, ready) {
  const context = await browser.newContext({ locale: 'en-US', viewport: { width: 1100, height } });
  const page = await context.newPage();
  await page.goto(address);
  await page.getByLabel('Email address or username', { exact: true }).fill(ADMINISTRATOR);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await ready(page);
  await page.waitForLoadState('networkidle');
  const path = join(here, `${name}.png`);
  await page.screenshot({ path, animations: 'disabled' });
  const { size } = statSync(path);
  if (size > MAX_BYTES) throw new Error(`${path} has ${size} bytes`);
  console.log(`${path}: ${size} bytes`);
  await context.close();
}

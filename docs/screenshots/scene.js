// A server with users, keys and traffic of its own, for pictures. Everything is in a temporary folder, which is deleted
// at the end: no secret in a picture opens anything.

import { spawn, spawnSync } from 'node:child_process';
import { randomBytes, scryptSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export const PASSWORD = 'correct horse battery staple';
export const [SUPERUSER, ADA, GRACE] = ['olga@example.org', 'ada@example.org', 'grace@example.org'];
const DISABLED = 'alan@example.org';

/** When each account was created is a part of what is shown. */
const USERS = [
  { email: SUPERUSER, full_name: 'Olga Petrova', superuser: true, created_at: '2026-03-02T08:10:00Z' },
  { email: ADA, full_name: 'Ada Lovelace', username: 'ada', roles: ['editor'], claims: { plan: 'pro' },
    created_at: '2026-05-11T14:32:00Z' },
  { email: GRACE, full_name: 'Grace Hopper', username: 'grace', created_at: '2026-06-23T09:05:00Z' },
  { email: 'meiling@example.org', full_name: '林美玲', username: 'meiling', roles: ['editor', 'translator'],
    created_at: '2026-08-19T02:41:00Z' },
  { email: DISABLED, full_name: 'Alan Turing', username: 'alan', disabled: true, created_at: '2026-09-30T16:20:00Z' },
  { email: 'zoe@example.org', full_name: 'Zoe Martin', verified: false, created_at: '2026-11-27T19:48:00Z' },
];

export const AGENTS = {
  phone: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile Safari/604.1',
  laptop: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15',
};

const folder = mkdtempSync(join(tmpdir(), 'signet-screenshots-'));
const [port, management] = [await freePort(), await freePort()];
export const url = `http://127.0.0.1:${port}`;
export const consoleUrl = `http://127.0.0.1:${management}`;
export const outbox = join(folder, 'data/outbox');

const CONFIG = `
[server]
listen = "127.0.0.1:${port}"
management = "127.0.0.1:${management}"
public_url = "https://id.example.org"

[mail]
from = "Signet <id@example.org>"

[limits]
sign_in_account = "10000 per 5m"
sign_in_address = "10000 per 5m"
mail_account = "1000 per 10m"
mail_total = "1000 per 1d"
`;

/** The environment has no settings of somebody's own server. */
const env = { PATH: process.env.PATH, HOME: folder };

/** Starts the server and creates what it shows. Returns what ends it. */
export async function start(program) {
  writeFileSync(join(folder, 'config.toml'), CONFIG);
  const server = spawn(program, [], { cwd: folder, env, stdio: 'ignore' });
  const end = () => {
    server.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 20 });
  };
  const command = (...options) => run(program, options);
  try {
    await answers(program, `${consoleUrl}/healthz`);
    const users = USERS.map((user) => JSON.stringify({ verified: true, ...user, password_hash: hash(PASSWORD) }));
    writeFileSync(join(folder, 'users.jsonl'), `${users.join('\n')}\n`);
    command('users', 'import', 'users.jsonl');
    apiKeys(command);
    for (const agent of Object.values(AGENTS)) await signIn(ADA, agent);
    await signIn(ADA, AGENTS.laptop, { password: 'not the password', refused: true });
    await signIn(DISABLED, AGENTS.laptop, { refused: true });
  } catch (error) {
    end();
    throw error;
  }
  return end;
}

const keys = {};

function apiKeys(command) {
  for (const [user, name, ...rest] of [
    [SUPERUSER, 'gateway', '--scope', 'introspect'], [SUPERUSER, 'reports', '--scope', 'feed:report'],
    [ADA, 'builds', '--scope', 'builds:read', '--scope', 'builds:write', '--expires-in-days', '90'],
    [GRACE, 'nightly export', '--scope', 'reports:read'], [GRACE, 'old laptop'],
  ]) {
    const key = JSON.parse(command('--json', 'api-keys', 'create', '--user', user, '--name', name, ...rest));
    keys[name] = key.full_key;
    if (name === 'old laptop') command('api-keys', 'deactivate', key.prefix);
  }
}

/** Runs a command of the program, and returns what it prints. */
function run(program, options) {
  const { status, stdout, stderr } = spawnSync(program, options, { cwd: folder, env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`signet ${options.join(' ')}: ${stderr}`);
  return stdout;
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
async function answers(program, address) {
  for (let tries = 0; tries < 300; tries += 1) {
    if (await fetch(address).then((response) => response.ok, () => false)) return;
    await sleep(100);
  }
  throw new Error(`${program} does not answer`);
}

/** A hash as another system may have stored it. */
function hash(password) {
  const base64 = (bytes) => bytes.toString('base64').replace(/=+$/, '');
  const salt = randomBytes(16);
  return `$scrypt$ln=14,r=8,p=1$${base64(salt)}$${base64(scryptSync(password, salt, 32, { N: 1 << 14, r: 8, p: 1 }))}`;
}

/** Calls the native API as a program does, and expects success unless it must be `refused`. */
export async function call(method, path, { body, token, agent = AGENTS.laptop, refused = false } = {}) {
  const headers = {
    'content-type': 'application/json', 'user-agent': agent, ...(token ? { authorization: `Bearer ${token}` } : {}),
  };
  const response = await fetch(`${url}${path}`, { method, headers, body: body && JSON.stringify(body) });
  if (response.ok === refused) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json().catch(() => null);
}

export const signIn = (email, agent, { password = PASSWORD, refused } = {}) =>
  call('POST', '/sessions', { body: { email, password }, agent, refused });

/** Says what a service that follows the revocation feed has applied. */
export async function followFeed(name) {
  const frame = (await (await fetch(`${url}/.well-known/signet-revocations`)).text()).trim().split('\n').pop();
  const { epoch, to: position, time, jwks } = JSON.parse(Buffer.from(frame.split('.')[1], 'base64url'));
  const body = { name, epoch, position, time, jwks };
  await call('POST', '/.well-known/signet-revocations/followers', { body, token: keys.reports });
}

/** One request of each kind of traffic. */
const OPERATIONS = {
  verify: ({ access_token: token }) => call('GET', '/verify', { token }),
  refresh: async (session) => {
    const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: session.refresh_token });
    Object.assign(session, await (await fetch(`${url}/oauth/token`, { method: 'POST', body })).json());
  },
  'sign-in': async () => {
    const { access_token: token, session_id: id } = await signIn(GRACE, AGENTS.phone);
    await call('DELETE', `/sessions/${id}`, { token });
  },
  'send-code': () => call('POST', '/codes', { body: { email: GRACE } }),
  key: () => call('GET', '/verify', { token: keys.builds }),
};

/** Of how many iterations one is of each kind; the others verify. */
const ONE_OF = { 'sign-in': 60, 'send-code': 200, key: 12, refresh: 5 };

/** Starts so many iterations a second, and returns how long each took, by operation. */
export async function traffic(rate, seconds) {
  const session = await signIn(GRACE, AGENTS.laptop);
  const times = Object.fromEntries(Object.keys(OPERATIONS).map((name) => [name, []]));
  const running = [];
  const begun = performance.now();
  let refreshing = Promise.resolve();
  for (let iteration = 1; iteration <= rate * seconds; iteration += 1) {
    const wait = begun + (iteration * 1000) / rate - performance.now();
    if (wait > 0) await sleep(wait);
    const name = Object.keys(ONE_OF).find((each) => iteration % ONE_OF[each] === 0) ?? 'verify';
    const measured = async () => {
      const start = performance.now();
      await OPERATIONS[name](session);
      times[name].push(performance.now() - start);
    };
    // One refresh after the other, as a client does.
    if (name === 'refresh') refreshing = refreshing.then(measured);
    else running.push(measured());
  }
  await Promise.all([refreshing, ...running]);
  return times;
}

// The code that the API reference writes for a call does that call: each language sends it to a server here, which compares
// it with what was asked for. Rust is only parsed, because a build takes too long.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { curl, javascript, python, rust } from '../../../src/api/pages/docs/samples.js';

const HOSTILE = `it's "q" \`b\` $HOME $(id) \${x} \\n \\ %s {0} #" ;&|<>*?! é 漢 \u2028`;
const TOKEN = 'secret-token';
const json = (value) => ({ mediaType: 'application/json', text: JSON.stringify(value, null, 2) });
const bearer = { header: 'authorization', scheme: 'Bearer', variable: 'TOKEN' };

const CALLS = [
  { method: 'GET', path: '/me?a=1&b=%20x', headers: [['x-one', "it's \"q\" $HOME `b`"]], credential: bearer, body: null },
  { method: 'POST', path: '/sessions', headers: [], credential: null,
    body: json({ email: 'ada@example.org', password: HOSTILE, more: [null, true, false, 1.5, {}, []] }) },
  { method: 'PATCH', path: '/x', headers: [], credential: { header: 'x-api-key', scheme: '', variable: 'API_KEY' },
    body: { mediaType: 'application/json', text: 'not json: \'"' } },
  { method: 'POST', path: '/oauth/introspect', headers: [], credential: { header: 'authorization', scheme: 'Basic', variable: 'API_KEY' },
    body: { mediaType: 'application/x-www-form-urlencoded', fields: [['token', HOSTILE], ['b', 'a&b=c+d']] } },
  { method: 'POST', path: '/auth/login/oauth', headers: [], credential: null,
    body: { mediaType: 'multipart/form-data', fields: [['username', HOSTILE], ['password', '@/etc/passwd']] } },
  { method: 'DELETE', path: '/sessions', headers: [], credential: bearer, body: null },
];

/** Starts a server that keeps the requests it gets. */
async function listen() {
  const received = [];
  const server = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      received.push({ method: request.method, path: request.url, headers: request.headers, body: Buffer.concat(chunks) });
      response.end('answered');
    });
  });
  await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
  return { url: `http://127.0.0.1:${server.address().port}`, received, close: () => server.close() };
}

/** Runs a program and returns what it printed. */
function run(program, args, env = { PATH: process.env.PATH, TOKEN, API_KEY: TOKEN, HOME: '/nonexistent', NO_PROXY: '*' }) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    child.stdout.on('data', (chunk) => { text += chunk; });
    child.stderr.on('data', (chunk) => { text += chunk; });
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(text) : reject(new Error(`${program} ${args}: ${text}`))));
  });
}

/** The fields of a form as the server got it. */
async function formFields({ headers, body }) {
  const form = await new Response(body, { headers: { 'content-type': headers['content-type'] } }).formData();
  return [...form];
}

async function assertSent(received, call, name) {
  const { method, path, headers, credential, body } = call;
  const what = `${name}: ${method} ${path}`;
  assert.equal(received.method, method, what);
  assert.equal(received.path, path, what);
  headers.forEach(([field, value]) => assert.equal(received.headers[field], value, what));
  if (credential) {
    const carried = { Bearer: `Bearer ${TOKEN}`, Basic: `Basic ${btoa(`key:${TOKEN}`)}`, '': TOKEN }[credential.scheme];
    assert.equal(received.headers[credential.header], carried, what);
  }
  if (!body) return assert.equal(received.body.length, 0, what);
  if (body.fields) {
    assert.ok(received.headers['content-type'].startsWith(body.mediaType), what);
    return assert.deepEqual(await formFields(received), body.fields, what);
  }
  assert.equal(received.headers['content-type'], body.mediaType, what);
  let value;
  try {
    value = JSON.parse(body.text);
  } catch {
    return assert.equal(received.body.toString(), body.text, what);
  }
  return assert.deepEqual(JSON.parse(received.body.toString()), value, what);
}

for (const [name, write, start] of [
  ['curl', curl, (code) => ['sh', ['-c', code.replace('curl ', 'curl -sS ')]]],
  ['JavaScript', javascript, (code) => [process.execPath, ['--input-type=module', '--eval', code]]],
  ['Python', python, (code) => [process.env.SIGNET_PYTHON, ['-c', code]]],
]) {
  test(`${name} sends the call`, async () => {
    const server = await listen();
    try {
      for (const call of CALLS) {
        const code = write({ ...call, url: server.url + call.path });
        assert.ok(!code.includes(TOKEN), 'the credential is not in the code');
        assert.match(await run(...start(code)), /answered/);
        await assertSent(server.received.pop(), call, name);
      }
    } finally {
      server.close();
    }
  });
}

test('Rust is Rust', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'samples-'));
  try {
    for (const [at, call] of CALLS.entries()) {
      const file = join(folder, `${at}.rs`);
      writeFileSync(file, rust({ ...call, url: `https://id.example.com${call.path}` }));
      // Fails if it cannot parse the file.
      await run('rustfmt', ['--edition', '2024', '--emit', 'stdout', file], { ...process.env });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

// The running Signet that the tests in this folder use. The program that started it says in the environment where it
// is, and carries out commands that are written to a file.

import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const { SIGNET_URL, SIGNET_PASSWORD, SIGNET_USERS, SIGNET_TOKENS, SIGNET_API_KEY, SIGNET_CONTROL } = process.env;

export const url = SIGNET_URL;
export const password = SIGNET_PASSWORD;
export const users = JSON.parse(SIGNET_USERS);
/** Tokens of every kind: `{ kind, text }`. */
export const tokens = JSON.parse(SIGNET_TOKENS);

async function call(method, path, { token, json, form } = {}) {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(json ? { 'content-type': 'application/json' } : {}),
    },
    body: json ? JSON.stringify(json) : form && new URLSearchParams(form),
  });
  if (!response.ok) throw new Error(`${method} ${path}: status ${response.status}`);
  const text = await response.text();
  return text === '' ? undefined : JSON.parse(text);
}

/** Signs in; returns the access token, the refresh token and the id of the session. */
export async function signIn(email) {
  const pair = await call('POST', '/sessions', { json: { email, password } });
  const claims = JSON.parse(Buffer.from(pair.access_token.split('.')[1], 'base64url'));
  return { access: pair.access_token, refresh: pair.refresh_token, claims };
}

export const signOut = ({ access, claims }) => call('DELETE', `/sessions/${claims.sid}`, { token: access });

export const signOutEverywhere = ({ access }) => call('DELETE', '/sessions', { token: access });

export async function clientToken() {
  const form = { grant_type: 'client_credentials', client_secret: SIGNET_API_KEY };
  return (await call('POST', '/oauth/token', { form })).access_token;
}

/** Has a command carried out: `['restart']`, or the arguments of the command line of Signet. */
export async function control(command) {
  const file = join(SIGNET_CONTROL, 'command');
  writeFileSync(`${file}.new`, JSON.stringify(command));
  renameSync(`${file}.new`, file);
  while (existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 10));
}

// The order of the API reference, its search, and which calls it asks about. Without a browser.

import assert from 'node:assert/strict';
import test from 'node:test';
import { grouped, isDestructive, matches, terms } from '../../../src/api/pages/docs/tasks.js';

const call = (method, path, tag = 'native') => ({ method, path, operation: { tags: [tag] } });

test('sign-in comes first, in the own API and in the others', () => {
  const operations = [
    call('get', '/id/verify'), call('post', '/id/users'), call('get', '/id/sessions'), call('post', '/id/sessions'),
    call('post', '/id/codes'), call('get', '/id/openapi.json'), call('post', '/id/totp'), call('post', '/id/admin/users'), call('get', '/id/unknown'),
    { method: 'post', path: '/id/links/magic', operation: { tags: ['native'], deprecated: true } }, call('post', '/id/magic-links'),
    call('get', '/auth/me', 'other'), call('post', '/auth/login/oauth', 'other'),
  ];
  const tags = [{ name: 'native' }, { name: 'other', description: 'Another API.' }, { name: 'empty' }];
  const groups = grouped(tags, operations, { own: 'native', base: '/id' });
  assert.deepEqual(groups.map(({ id, operations: these }) => [id, ...these.map(({ method, path }) => `${method} ${path}`)]), [
    ['sign-in', 'post /id/sessions', 'post /id/codes', 'post /id/magic-links', 'post /id/links/magic'],
    ['sign-up', 'post /id/users'],
    ['sessions', 'get /id/sessions'],
    ['second-factor', 'post /id/totp'],
    ['verify-tokens', 'get /id/verify'],
    ['administration', 'post /id/admin/users'],
    ['published-documents', 'get /id/openapi.json', 'get /id/unknown'],
    ['other', 'post /auth/login/oauth', 'get /auth/me'],
  ]);
  assert.equal(new Set(groups.flatMap((group) => group.operations)).size, operations.length, 'each is in one group');
});

test('the search knows words that mean the same', () => {
  const totp = 'post /totp native_start_enrollment begin to turn totp on native';
  const introspect = 'post /oauth/introspect native_introspect say whether a token is active native';
  const sessions = 'post /sessions native_open_session sign in native';
  const found = (search, words) => matches(words, terms(search));
  for (const search of ['2fa', 'MFA', 'totp', 'second factor', ' two-factor ', 'authenticator', '2fa enrollment']) {
    assert.ok(found(search, totp), search);
    assert.ok(!found(search, introspect), search);
  }
  for (const search of ['introspection', 'verify', 'validate token', 'check token']) assert.ok(found(search, introspect), search);
  for (const search of ['login', 'log in', 'sign in', 'signin', 'post login', 'open_ses']) assert.ok(found(search, sessions), search);
  assert.ok(!found('login nothing', sessions), 'every word must be found');
  assert.ok(found('', sessions) && found('   ', sessions));
  assert.ok(found('.*(', 'a .*( b') && !found('.*(', sessions), 'no pattern');
  assert.ok(!found('profile', 'get /members list'), 'a short word is a whole word');
  assert.ok(found('profile', 'get /me native_me'));
  assert.ok(found('登入', sessions) && found('兩步驟驗證', totp) && !found('登出', sessions), 'Chinese words for English operations');
});

test('calls that cannot be undone are known', () => {
  for (const [method, path] of [
    ['delete', '/me'], ['delete', '/sessions/{id}'], ['post', '/admin/sign-out-everyone'], ['post', '/admin/users/{id}/sign-out'],
    ['post', '/admin/users/{id}/reset-mfa'], ['post', '/admin/keys/rotate'], ['post', '/admin/keys/{kid}/revoke'],
    ['post', '/oauth/revoke'], ['post', '/auth/users/toggle-state'],
  ]) assert.ok(isDestructive(method, path), `${method} ${path}`);
  for (const [method, path] of [
    ['get', '/sessions'], ['post', '/sessions'], ['post', '/verify'], ['get', '/.well-known/signet-revocations'], ['post', '/me/email'],
    ['put', '/me/password'],
  ]) assert.ok(!isDestructive(method, path), `${method} ${path}`);
});

// The order of the API reference: by task, with sign-in first. Also its search, which knows synonyms. Knows nothing of
// elements, so that it runs without a browser.

/**
 * The tasks in their order: an id, and the paths of Signet's own API that belong to it, if need be of one method. The
 * first match counts, and orders the calls of a task.
 */
const TASKS = [
  ['sign-in', /^\/sessions$/, 'post'],
  ['sign-in', /^\/codes/],
  ['sign-in', /^\/(magic-links|links\/magic)/],
  ['sign-up', /^\/(users$|email-confirmations|links\/confirm|password-policy)/],
  ['passwords', /^\/(password-resets|links\/reset|me\/password)/],
  ['sessions', /^\/sessions/],
  ['second-factor', /^\/totp/],
  ['account', /^\/me/],
  ['projects-and-api-keys', /^\/projects/],
  ['tokens-for-services', /^\/oauth\/(token|revoke)/],
  ['verify-tokens', /^\/(verify|oauth\/introspect|\.well-known\/jwks)/],
  ['follow-revocations', /^\/\.well-known\/signet-revocations/],
  ['administration', /^\/admin/],
  ['published-documents', /^\//],
];

const IDS = [...new Set(TASKS.map(([id]) => id))];

/** The place of an operation in the list of tasks; old names of a call come after the others. */
function placeOf({ method, path, operation }, base) {
  const own = path.slice(base.length);
  const at = TASKS.findIndex(([, paths, only]) => paths.test(own) && (!only || only === method));
  return { id: TASKS[at]?.[0] ?? IDS.at(-1), order: at + (operation.deprecated ? TASKS.length : 0) };
}

/** Matches the paths of other APIs whose operations open a session: these come first. */
const SIGNS_IN = /sign.?in|log.?in|verify-code|send-code|magic|claim|oauth$/;

/**
 * Groups operations for the navigation: Signet's own by task, then the other APIs, each with its sign-in first.
 * `operations`: `{ path, method, operation }` in the order of the document. `own`: the tag of Signet's own API; `base`:
 * its prefix. A group of a task has no name: pages have one for its id in each language.
 */
export function grouped(tags, operations, { own, base }) {
  const of = (tag) => operations.filter((each) => each.operation.tags?.[0] === tag.name);
  return tags.flatMap((tag) => {
    if (tag.name !== own) {
      const first = (each) => (SIGNS_IN.test(each.path) ? 0 : 1);
      const sorted = of(tag).sort((one, other) => first(one) - first(other));
      return [{ id: tag.name, name: tag.name, description: tag.description, operations: sorted }];
    }
    const placed = of(tag).map((each) => ({ each, ...placeOf(each, base) }))
      .sort((one, other) => one.order - other.order);
    return IDS.map((id) => ({ id, operations: placed.filter((each) => each.id === id).map(({ each }) => each) }));
  }).filter((group) => group.operations.length);
}

/** Words that mean the same to a reader. A search for one finds operations with another of its line. */
const SYNONYMS = [
  ['2fa', 'mfa', 'totp', 'otp', 'second factor', 'two-factor', 'authenticator', '驗證器', '兩步驟驗證', '雙重驗證'],
  ['introspection', 'introspect', 'verify', 'validate', 'check token', '驗證', '驗證權杖'],
  ['sign in', 'sign-in', 'signin', 'log in', 'login', 'authenticate', '/sessions', '/oauth/token', '登入'],
  ['sign out', 'sign-out', 'signout', 'log out', 'logout', 'end session', 'revoke', '登出', '撤銷'],
  ['sign up', 'sign-up', 'signup', 'register', 'create account', 'create user', '註冊'],
  ['passwordless', 'magic', 'mailed code', 'one-time code', '/codes', 'send-code', '免密碼', '驗證碼'],
  ['forgot', 'forgotten', 'reset', 'recover', '忘記密碼', '重設'],
  ['jwks', 'jwk', 'public key', 'public keys', '公鑰'],
  ['refresh', 'renew', 'grant_type', '/oauth/token', '更新權杖'],
  ['api key', 'api keys', 'apikey', 'api-key', 'service account', 'api 金鑰', 'api金鑰'],
  ['recovery code', 'recovery codes', 'backup code', 'backup codes', '復原碼'],
  ['delete', 'remove', 'erase', '刪除'],
  ['profile', '/me', 'userinfo', 'current user', 'whoami', '個人資料'],
  ['admin', 'administration', 'superuser', 'manage', '管理', '管理員'],
  ['impersonate', 'exchange', 'token exchange', 'on behalf', '代理'],
  ['webhook', 'feed', 'events', 'revocations', '撤銷通知', '事件'],
  ['email', 'e-mail', 'mail', '信箱', '電子郵件'],
  ['ban', 'block', 'disable', 'deactivate', 'toggle-state', '停用'],
];

/** True if `text` has a word that begins with `term`, or that is `term` if it is short. Both are in lower case. */
function hasWord(text, term) {
  const pattern = term.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`(^|[^a-z0-9])${pattern}${term.length > 3 ? '' : '($|[^a-z0-9])'}`).test(text);
}

/** The terms of a search, each a list of texts of which an operation must have one. */
export function terms(search) {
  let rest = ` ${search.toLowerCase().trim().replace(/\s+/g, ' ')} `;
  const found = [];
  // Longer phrases first, so that "sign in" is not two words.
  const phrases = SYNONYMS.flatMap((line) => line.map((phrase) => [phrase, line]))
    .sort(([one], [other]) => other.length - one.length);
  for (const [phrase, line] of phrases) {
    if (!rest.includes(` ${phrase} `)) continue;
    rest = rest.replace(` ${phrase} `, '  ');
    found.push(line);
  }
  return [...found, ...rest.split(' ').filter(Boolean).map((word) => [word])];
}

/** True if an operation with these words, in lower case, is found by the terms. */
export function matches(words, searched) {
  const isFound = (line, term) => (line.length === 1 ? words.includes(term) : hasWord(words, term));
  return searched.every((line) => line.some((term) => isFound(line, term)));
}

/** Segments in the paths of POST calls that end or replace something. */
const ENDING = 'revoke|sign-out|sign-out-everyone|rotate|reset-mfa|disable|deactivate|delete|toggle-state|logout';
const ENDS = new RegExp(`/(${ENDING})(-|/|$)`);

/** True if a call cannot be undone, so that the reader is asked first. */
export function isDestructive(method, path) {
  return method === 'delete' || (method !== 'get' && ENDS.test(path));
}

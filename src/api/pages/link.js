// The landing page of mailed links that have no front end of their own. Opening a link does not redeem it, because mail scanners
// open links too; the button redeems it with a POST.

import { copyButton, element } from './element.js';

const ENGLISH = {
  magicTitle: 'Sign in',
  magicLead: 'Select the button to sign in. This link works once.',
  magicButton: 'Sign in',
  claim: 'Claim',
  claimHelp: 'Paste the claim that you received when you requested this link.',
  totp: 'Code from your authenticator app',
  totpHelp: 'You can also use a recovery code.',
  signedIn: 'You are signed in',
  signedInLead: 'Copy the tokens that your application needs, then close this page.',
  access: 'Access token',
  refresh: 'Refresh token',
  resetTitle: 'Choose a new password',
  resetLead: 'This signs you out on all devices. Then sign in with the new password.',
  resetButton: 'Change password',
  password: 'New password',
  again: 'Confirm new password',
  unequal: 'The passwords do not match.',
  reset: 'Password changed',
  resetDone: 'You were signed out on all devices. Sign in with the new password.',
  confirmTitle: 'Confirm your email address',
  confirmLead: 'Select the button to confirm that this email address is yours. Do this only if you created the account or changed its address.',
  confirmButton: 'Confirm',
  confirmed: 'Email address confirmed',
  confirmedLead: 'You can close this page.',
  already: 'Email address already confirmed',
  incomplete: 'This link is incomplete',
  incompleteLead: 'Open the link in the email again, or request a new one.',
  over: 'This link is invalid, expired or already used. Request a new one.',
  wrongClaim: 'The claim does not match this link, or the link is expired or already used.',
  wrongCode: 'Wrong code.',
  needCode: 'Two-factor authentication is on. Enter your code.',
  weak: 'This password is too short or too common. Choose another one.',
  invalid: 'This input is invalid.',
  tooMany: 'Too many attempts. Try again later.',
  down: 'The service is unavailable. Try again in a moment.',
  copy: 'Copy',
  copied: 'Copied',
};

const CHINESE = {
  magicTitle: '登入',
  magicLead: '按下按鈕即可用這個連結登入。連結只能使用一次。',
  magicButton: '登入',
  claim: '憑據（claim）',
  claimHelp: '您要求這個連結的地方保存了一份憑據，請貼在這裡。',
  totp: '驗證器應用程式的代碼',
  totpHelp: '也可以使用一組復原碼。',
  signedIn: '您已登入',
  signedInLead: '這裡沒有可以接收權杖的應用程式。請複製需要的內容，然後關閉本頁。',
  access: '存取權杖',
  refresh: '更新權杖',
  resetTitle: '設定新密碼',
  resetLead: '您所有的工作階段都會結束，之後請用新密碼登入。',
  resetButton: '設定密碼',
  password: '新密碼',
  again: '再輸入一次',
  unequal: '兩次輸入的密碼不同。',
  reset: '密碼已變更',
  resetDone: '所有工作階段都已結束，請用新密碼登入。',
  confirmTitle: '確認您的電子郵件地址',
  confirmLead: '按下按鈕，確認這個電子郵件地址屬於您。只有您本人建立了帳號或變更了地址時，才請按下。',
  confirmButton: '確認',
  confirmed: '您的地址已確認',
  confirmedLead: '您可以關閉本頁。',
  already: '您的地址先前已確認過',
  incomplete: '連結不完整',
  incompleteLead: '請從郵件中再開啟一次，或要求新的連結。',
  over: '這個連結已失效：可能已使用過或已過期，請要求新的連結。',
  wrongClaim: '沒有成功：憑據與連結不符，或連結已使用過、已過期。',
  wrongCode: '代碼不正確。',
  needCode: '您的帳號啟用了第二重驗證，請一併輸入代碼。',
  weak: '這個密碼不能使用。請選擇較長且不常見的密碼。',
  invalid: '這樣的內容無法使用。',
  tooMany: '嘗試次數過多，請稍後再試。',
  down: '服務目前沒有回應，請稍後再試。',
  copy: '複製',
  copied: '已複製',
};

const { page, base } = document.body.dataset;
const chinese = (navigator.languages ?? [navigator.language]).find((tag) => /^(zh|en)\b/i.test(tag))?.toLowerCase().startsWith('zh');
const words = chinese ? CHINESE : ENGLISH;
document.documentElement.lang = chinese ? 'zh-Hant' : 'en';

const main = document.getElementById('main');
const link = takeLink();
document.title = `${words[`${page}Title`]} · Signet`;
if (link.token) ({ magic, reset, confirm })[page]();
else showResult('bad', '!', words.incomplete, element('p', {}, words.incompleteLead));

/** Takes the token, and the claim of a magic link, and removes both from the address bar and the history. */
function takeLink() {
  const here = new URL(location.href);
  history.replaceState(null, '', `${base}/links/${page}`);
  const last = here.pathname.replace(/\/$/, '').split('/').pop();
  // Some links have the token as the last path segment. A token is three parts separated by dots.
  const token = here.searchParams.get('token') ?? (last.split('.').length === 3 ? last : '');
  const claim = new URLSearchParams(here.hash.slice(1)).get('claim');
  return { token, claim: claim ?? (page === 'magic' ? storedClaim() : null) };
}

/** The claim that the requesting device stored. */
function storedClaim() {
  try {
    return localStorage.getItem('signet.claim');
  } catch {
    return null;
  }
}

function magic() {
  const claim = field('claim', words.claim, { class: 'mono', autocomplete: 'off' }, words.claimHelp);
  const code = field('totp', words.totp, { autocomplete: 'one-time-code', inputmode: 'text' }, words.totpHelp);
  claim.show(!link.claim);
  code.show(false);
  const form = showForm(words.magicTitle, words.magicLead, words.magicButton, [claim, code], async () => {
    const body = { token: link.token, claim: claim.value() || link.claim || '' };
    if (code.shown()) body.totp_code = code.value();
    const response = await post('magic', body);
    if (response.ok) {
      try {
        localStorage.removeItem('signet.claim');
      } catch { /* Without storage there is nothing to remove. */ }
      const tokens = [[words.access, response.body.access_token], [words.refresh, response.body.refresh_token]];
      const shown = tokens.filter(([, token]) => token).map(([name, token], at) => copyField(`token-${at}`, name, token));
      return showResult('good', '✓', words.signedIn, element('p', {}, words.signedInLead), shown);
    }
    if (response.body.type === 'mfa_required') {
      const first = !code.shown();
      code.show(true);
      code.focus();
      return first ? form.showNote(words.needCode) : form.showError(words.wrongCode);
    }
    if (response.body.type === 'invalid_mfa_code') return form.showError(words.wrongCode);
    // The stored claim does not match: let the user enter another one.
    if (response.status === 401 || response.status === 400) claim.show(true);
    return form.showError(errorMessage(response, words.wrongClaim));
  });
}

function reset() {
  const password = field('password', words.password, { type: 'password', autocomplete: 'new-password' });
  const again = field('again', words.again, { type: 'password', autocomplete: 'new-password' });
  const claim = field('claim', words.claim, { class: 'mono', autocomplete: 'off' }, words.claimHelp);
  claim.show(needsClaim(link.token) && !link.claim);
  const form = showForm(words.resetTitle, words.resetLead, words.resetButton, [password, again, claim], async () => {
    if (password.value() !== again.value()) {
      again.focus();
      return form.showError(words.unequal);
    }
    const body = { token: link.token, new_password: password.value() };
    if (needsClaim(link.token)) body.claim = claim.value() || link.claim || '';
    const response = await post('reset', body);
    if (response.ok) return showResult('good', '✓', words.reset, element('p', {}, words.resetDone));
    if (response.body.type === 'weak_password') {
      password.focus();
      return form.showError(words.weak);
    }
    if (needsClaim(link.token) && response.status < 429) claim.show(true);
    return form.showError(errorMessage(response, needsClaim(link.token) ? words.wrongClaim : words.over));
  });
}

function confirm() {
  const form = showForm(words.confirmTitle, words.confirmLead, words.confirmButton, [], async () => {
    const response = await post('confirm', { token: link.token });
    if (!response.ok) return form.showError(errorMessage(response, words.over));
    const title = response.body.status === 'already_confirmed' ? words.already : words.confirmed;
    return showResult('good', '✓', title, element('p', {}, words.confirmedLead));
  });
}

/** True if the payload of a reset token requires the claim. Only decides if the field is shown; the server checks. */
function needsClaim(token) {
  try {
    const payload = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    return JSON.parse(atob(payload)).action?.needs_device_secret === true;
  } catch {
    return false;
  }
}

async function post(action, body) {
  try {
    const response = await fetch(`${base}/links/${action}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(body),
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
      referrerPolicy: 'no-referrer',
    });
    return { ok: response.ok, status: response.status, body: (await response.json().catch(() => null)) ?? {} };
  } catch {
    return { ok: false, status: 503, body: {} };
  }
}

function errorMessage(response, otherwise) {
  if (response.status === 429) return words.tooMany;
  if (response.status >= 500 || response.status === 408) return words.down;
  return response.body.type === 'invalid_fields' ? words.invalid : otherwise;
}

/** Shows the form of the page. Its button is disabled while the form is being sent. */
function showForm(title, lead, label, fields, send) {
  const note = element('p', { class: 'note bad', role: 'alert', hidden: true });
  const button = element('button', { type: 'submit' }, label);
  const form = element('form', { novalidate: true }, fields.map((each) => each.element), note, button);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const empty = fields.find((each) => each.shown() && !each.value());
    if (empty) return empty.focus();
    note.hidden = true;
    button.disabled = true;
    await send();
    button.disabled = false;
  });
  main.replaceChildren(element('h1', {}, title), element('p', {}, lead), form);
  const showMessage = (className) => (text) => {
    note.className = className;
    note.textContent = text;
    note.hidden = false;
  };
  return { showError: showMessage('note bad'), showNote: showMessage('note') };
}

function field(id, label, attributes, help) {
  const input = element('input', {
    id, name: id, type: 'text', autocapitalize: 'none', spellcheck: 'false', 'aria-describedby': help ? `${id}-help` : null,
    ...attributes,
  });
  const whole = element('div', {}, element('label', { for: id }, label), input,
    help ? element('p', { class: 'help', id: `${id}-help` }, help) : null);
  return {
    element: whole,
    value: () => (attributes.type === 'password' ? input.value : input.value.trim()),
    shown: () => !whole.hidden,
    show: (yes) => { whole.hidden = !yes; },
    focus: () => input.focus(),
  };
}

function copyField(id, label, text) {
  const input = element('input', { id, class: 'mono', readonly: true, value: text, onfocus: (event) => event.target.select() });
  return element('div', { class: 'copied' }, element('label', { for: id }, label),
    element('div', { class: 'row' }, input, copyButton(() => text, words)));
}

/** Shows the result. */
function showResult(mood, mark, title, ...rest) {
  const heading = element('h1', { tabindex: '-1' }, title);
  main.replaceChildren(element('div', { class: `mark ${mood}`, 'aria-hidden': 'true' }, mark), heading, ...rest.flat());
  heading.focus();
}

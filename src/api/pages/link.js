// Where mailed links land that have no front end of their own. Opening one does nothing: mail scanners open them too. What a
// link is for is done by the button, with a POST.

import { copyButton, element } from './element.js';

const ENGLISH = {
  magicTitle: 'Sign in',
  magicLead: 'Press the button to sign in with this link. It works once.',
  magicButton: 'Sign in',
  claim: 'Claim',
  claimHelp: 'Where you asked for this link, a claim was kept. Paste it here.',
  totp: 'Code of your authenticator app',
  totpHelp: 'Or one of your recovery codes.',
  signedIn: 'You are signed in',
  signedInLead: 'There is no application here to hand these tokens to. Copy what you need, then close this page.',
  access: 'Access token',
  refresh: 'Refresh token',
  resetTitle: 'Choose a new password',
  resetLead: 'All your sessions will be ended; you then sign in with the new password.',
  resetButton: 'Set the password',
  password: 'New password',
  again: 'The same once more',
  unequal: 'The two are not the same.',
  reset: 'Your password is changed',
  resetDone: 'All sessions were ended. Sign in with the new password.',
  confirmTitle: 'Confirm your address',
  confirmLead: 'Press the button to confirm that this e-mail address is yours.',
  confirmButton: 'Confirm',
  confirmed: 'Your address is confirmed',
  confirmedLead: 'You can close this page.',
  already: 'Your address was confirmed before',
  incomplete: 'The link is incomplete',
  incompleteLead: 'Open it from the mail once more, or ask for a new one.',
  over: 'This link is no longer good. It may have been used, or its time is over: ask for a new one.',
  wrongHalf: 'That did not work. The claim does not fit this link, or the link was used or is too old.',
  wrongCode: 'That code is not right.',
  needCode: 'Your account has a second factor: give its code as well.',
  weak: 'That password will not do. Choose a longer one that is not among the common ones.',
  faulty: 'That cannot be used as it stands.',
  tooMany: 'Too many tries. Wait a while, then try again.',
  down: 'The service does not answer just now. Try again in a moment.',
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
  confirmLead: '按下按鈕，確認這個電子郵件地址屬於您。',
  confirmButton: '確認',
  confirmed: '您的地址已確認',
  confirmedLead: '您可以關閉本頁。',
  already: '您的地址先前已確認過',
  incomplete: '連結不完整',
  incompleteLead: '請從郵件中再開啟一次，或要求新的連結。',
  over: '這個連結已失效：可能已使用過或已過期，請要求新的連結。',
  wrongHalf: '沒有成功：憑據與連結不符，或連結已使用過、已過期。',
  wrongCode: '代碼不正確。',
  needCode: '您的帳號啟用了第二重驗證，請一併輸入代碼。',
  weak: '這個密碼不能使用。請選擇較長且不常見的密碼。',
  faulty: '這樣的內容無法使用。',
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
else over('bad', '!', words.incomplete, element('p', {}, words.incompleteLead));

/** The token and, of a magic link, the other half; both out of the address bar and the history at once. */
function takeLink() {
  const here = new URL(location.href);
  history.replaceState(null, '', `${base}/links/${page}`);
  const last = here.pathname.replace(/\/$/, '').split('/').pop();
  // Some links carry their token as the last part of the path; a token is three parts with dots between.
  const token = here.searchParams.get('token') ?? (last.split('.').length === 3 ? last : '');
  const claim = new URLSearchParams(here.hash.slice(1)).get('claim');
  return { token, claim: claim ?? (page === 'magic' ? kept() : null) };
}

/** What the device that asked has kept. */
function kept() {
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
  const form = ask(words.magicTitle, words.magicLead, words.magicButton, [claim, code], async () => {
    const body = { token: link.token, claim: claim.value() || link.claim || '' };
    if (code.shown()) body.totp_code = code.value();
    const answer = await post('magic', body);
    if (answer.ok) {
      try {
        localStorage.removeItem('signet.claim');
      } catch { /* A browser that keeps nothing has nothing to remove. */ }
      const tokens = [[words.access, answer.body.access_token], [words.refresh, answer.body.refresh_token]];
      const shown = tokens.filter(([, token]) => token).map(([name, token], at) => copied(`token-${at}`, name, token));
      return over('good', '✓', words.signedIn, element('p', {}, words.signedInLead), shown);
    }
    if (answer.body.type === 'totp-required') {
      const first = !code.shown();
      code.show(true);
      code.focus();
      return first ? form.tell(words.needCode) : form.say(words.wrongCode);
    }
    if (code.shown() && /totp|code/.test(answer.body.type ?? '')) return form.say(words.wrongCode);
    // The half that was found here does not fit: let another be given.
    if (answer.status === 401 || answer.status === 400) claim.show(true);
    return form.say(worded(answer, words.wrongHalf));
  });
}

function reset() {
  const password = field('password', words.password, { type: 'password', autocomplete: 'new-password' });
  const again = field('again', words.again, { type: 'password', autocomplete: 'new-password' });
  const claim = field('claim', words.claim, { class: 'mono', autocomplete: 'off' }, words.claimHelp);
  claim.show(saysHalf(link.token) && !link.claim);
  const form = ask(words.resetTitle, words.resetLead, words.resetButton, [password, again, claim], async () => {
    if (password.value() !== again.value()) {
      again.focus();
      return form.say(words.unequal);
    }
    const body = { token: link.token, new_password: password.value() };
    if (saysHalf(link.token)) body.claim = claim.value() || link.claim || '';
    const answer = await post('reset', body);
    if (answer.ok) return over('good', '✓', words.reset, element('p', {}, words.resetDone));
    if (answer.body.type === 'weak-password') {
      password.focus();
      return form.say(words.weak);
    }
    if (saysHalf(link.token) && answer.status < 429) claim.show(true);
    return form.say(worded(answer, saysHalf(link.token) ? words.wrongHalf : words.over));
  });
}

function confirm() {
  const form = ask(words.confirmTitle, words.confirmLead, words.confirmButton, [], async () => {
    const answer = await post('confirm', { token: link.token });
    if (!answer.ok) return form.say(worded(answer, words.over));
    const title = answer.body.status === 'already_confirmed' ? words.already : words.confirmed;
    return over('good', '✓', title, element('p', {}, words.confirmedLead));
  });
}

/** Whether a reset needs the other half too: its payload says so. Only to show the field or not; the server decides. */
function saysHalf(token) {
  try {
    const payload = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    return JSON.parse(atob(payload)).says?.half === true;
  } catch {
    return false;
  }
}

async function post(what, body) {
  try {
    const answer = await fetch(`${base}/links/${what}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(body),
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
      referrerPolicy: 'no-referrer',
    });
    return { ok: answer.ok, status: answer.status, body: (await answer.json().catch(() => null)) ?? {} };
  } catch {
    return { ok: false, status: 503, body: {} };
  }
}

function worded(answer, otherwise) {
  if (answer.status === 429) return words.tooMany;
  if (answer.status >= 500 || answer.status === 408) return words.down;
  return answer.body.type === 'fields' ? words.faulty : otherwise;
}

/** The one form of a page. While it is being sent its button cannot be pressed again. */
function ask(title, lead, label, fields, send) {
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
  const shown = (mood) => (text) => {
    note.className = mood;
    note.textContent = text;
    note.hidden = false;
  };
  return { say: shown('note bad'), tell: shown('note') };
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

function copied(id, label, text) {
  const input = element('input', { id, class: 'mono', readonly: true, value: text, onfocus: (event) => event.target.select() });
  return element('div', { class: 'copied' }, element('label', { for: id }, label),
    element('div', { class: 'row' }, input, copyButton(() => text, words)));
}

/** The end of it: what became of the link. */
function over(mood, mark, title, ...rest) {
  const heading = element('h1', { tabindex: '-1' }, title);
  main.replaceChildren(element('div', { class: `mark ${mood}`, 'aria-hidden': 'true' }, mark), heading, ...rest.flat());
  heading.focus();
}

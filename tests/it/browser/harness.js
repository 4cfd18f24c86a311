// Shared by the browser tests: one Chromium, devices (contexts with their own cookies), mail, an authenticator app, and
// the rules that hold on every page. A test is a program that ends with 0.

import { createHmac } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const { url, outbox, tools, chromium: program, ...rest } = JSON.parse(process.env.SIGNET_BROWSER);
const require = createRequire(join(tools, 'package.json'));
const { chromium } = require('playwright-core');
const jsQR = require('jsqr');
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

/** The address of the server, and what else the Rust side says. */
export const server = { url, ...rest };

/** What no page may do, collected until the end. */
const failures = [];

/** The last responses, which say more than the page if a test fails. */
const responses = [];

/** How long a test waits for what must come: much, because the machine may be busy with other tests. */
const TIMEOUT = 60_000;

/** Without a sandbox, because root cannot have one. */
const ARGUMENTS = ['--no-sandbox', '--disable-gpu'];

let browser;

/** Runs a test and ends the process. */
export async function run(test) {
  browser = await chromium.launch({ executablePath: program, args: ARGUMENTS });
  let code = 0;
  try {
    await test();
    if (failures.length) throw new Error(failures.join('\n'));
  } catch (error) {
    console.error(error.stack ?? error);
    if (failures.length) console.error(failures.join('\n'));
    console.error(responses.slice(-10).join('\n'));
    for (const page of browser.contexts().flatMap((context) => context.pages())) {
      console.error(`--- ${page.url()}\n${await page.innerText('body').catch(() => '')}`);
    }
    code = 1;
  }
  await browser.close();
  process.exit(code);
}

/**
 * A browser of its own: cookies and storage of a new device. A violation of the content security policy, an error of a
 * script and a request to another host fail the test, unless pages of others are opened too (`strict: false`).
 */
export async function device({ strict = true, ...options } = {}) {
  const context = await browser.newContext({ locale: 'en-US', viewport: { width: 900, height: 600 }, ...options });
  context.setDefaultTimeout(TIMEOUT);
  await context.exposeBinding('reportViolation', (_, text) => strict && failures.push(`policy: ${text}`));
  await context.addInitScript(() => addEventListener('securitypolicyviolation', (event) => {
    window.reportViolation(`${event.violatedDirective} ${event.blockedURI} at ${event.sourceFile} ${event.sample}`);
  }));
  context.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    const allowed = ['data:', 'blob:'].includes(protocol) || [url, server.api].includes(origin);
    if (strict && !allowed) failures.push(`request to another host: ${request.url()}`);
  });
  context.on('response', (response) => {
    responses.push(`${response.request().method()} ${response.url()} ${response.status()}`);
  });
  context.on('weberror', (error) => failures.push(`script: ${error.error().stack}`));
  context.on('console', (message) => {
    // A refused request is part of many tests; the browser logs each.
    const refused = message.text().startsWith('Failed to load resource');
    if (strict && message.type() === 'error' && !refused) failures.push(`console: ${message.text()}`);
  });
  return context;
}

/** Opens a page of the server. */
export async function open(context, path) {
  const page = await context.newPage();
  await page.goto(new URL(path, url).href);
  return page;
}

export const button = (page, name) => page.getByRole('button', { name, exact: true });
export const field = (page, label) => page.getByLabel(label, { exact: true });
export const heading = (page, name) => page.getByRole('heading', { name, exact: true });

/** Fills fields, by their labels. */
export async function fill(page, values) {
  for (const [label, value] of Object.entries(values)) await field(page, label).fill(value);
}

/** The open dialog; the one on top if there are two. */
export const dialog = (page) => page.getByRole('dialog').last();

/** Presses a button of the part that has just appeared. */
export const press = (page, name) => button(page, name).last().click();

/** Presses a button of the open dialog. */
export const agree = (page, name) => button(dialog(page), name).click();

/**
 * Waits until no dialog is left. A role does not say so: a dialog is hidden as soon as it is closed, and goes when the
 * page has learned of that.
 */
export const noDialog = (page) => page.locator('dialog').first().waitFor({ state: 'detached' });

/** Moves the focus with the Tab key to what has this name, and checks that the focus can be seen there. */
export async function reach(page, name) {
  for (let presses = 0; presses < 100; presses += 1) {
    await page.keyboard.press('Tab');
    const { label, seen } = await page.evaluate(() => {
      const at = document.activeElement;
      const text = at.getAttribute('aria-label') ?? at.labels?.[0]?.textContent ?? at.textContent;
      return { label: text.trim(), seen: getComputedStyle(at).outlineStyle !== 'none' };
    });
    if (label === name) {
      if (!seen) throw new Error(`the focus on ${name} is not seen`);
      return;
    }
  }
  throw new Error(`${name} is not reached by keyboard`);
}

/** Reaches what is named so by Tab, and presses a key there. */
export async function pressKey(page, name, key = 'Enter') {
  await reach(page, name);
  await page.keyboard.press(key);
}

/** Has the Rust side do something that only it can do, and waits until it is done. */
export async function ask(what) {
  const done = new Promise((resolve, reject) => {
    process.stdin.once('data', resolve).once('end', () => reject(new Error(`${what}: failed`)));
  });
  process.stdout.write(`ask: ${what}\n`);
  await done;
}

/** Waits until a heading is shown. */
export const shows = (page, name) => heading(page, name).waitFor();

/** Waits until a text is shown. */
export const says = (page, text) => page.getByText(text).first().waitFor();

/**
 * Checks a state of a page: axe finds nothing, in light and dark, and nothing overflows, on the smallest screen or at
 * 200 %. A state is checked once, over one of the stores. On a page of thousands of elements axe looks only at the part
 * that has changed, by its selector.
 */
export async function check(page, state, part) {
  if (server.looks === false) return;
  if (!await page.evaluate(() => 'axe' in window)) await page.evaluate(AXE);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    // Of the rules, only that of contrast depends on the scheme.
    const only = colorScheme === 'dark' ? { runOnly: ['color-contrast'] } : {};
    const found = await page.evaluate(async ({ within, ...options }) => {
      const root = within ? document.querySelector(within) : document;
      const { violations } = await window.axe.run(root, { resultTypes: ['violations'], ...options });
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`)}`);
    }, { within: part, ...only });
    failures.push(...found.map((each) => `axe, ${state}, ${colorScheme}: ${each}`));
  }
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  const size = page.viewportSize();
  await page.setViewportSize({ width: 320, height: 640 });
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  if (width > 320) failures.push(`${state} is ${width} pixels wide on a screen of 320`);
  // A window of 900 by 600 pixels that is zoomed to 200 %. The page may scroll down; a dialog lies above it and must fit.
  await page.setViewportSize({ width: 450, height: 300 });
  const zoomed = await page.evaluate(() => {
    const { bottom = 0, right = 0 } = [...document.querySelectorAll('dialog[open]')].at(-1)?.getBoundingClientRect() ?? {};
    return { width: document.documentElement.scrollWidth, fits: bottom <= innerHeight && right <= innerWidth };
  });
  if (zoomed.width > 450) failures.push(`${state} is ${zoomed.width} pixels wide at 200 %`);
  if (!zoomed.fits) failures.push(`${state} has a dialog that does not fit at 200 %`);
  await page.setViewportSize(size);
}

/** All mails to an address, the oldest first, with soft line breaks undone. */
function mails(to) {
  let names = [];
  try {
    names = readdirSync(outbox).filter((name) => name.endsWith('.eml')).sort();
  } catch {
    // Nothing was sent yet.
  }
  const texts = names.map((name) => readFileSync(join(outbox, name), 'utf8'));
  const plain = texts.map((text) => text.replaceAll('=\r\n', '').replaceAll('=3D', '='));
  return plain.filter((text) => text.split('\r\n').some((line) => /^to:/i.test(line) && line.includes(to)));
}

/** Waits for a mail to an address that has what `find` looks for, and that is not one of those seen before. */
export async function mailed(to, find) {
  const deadline = Date.now() + TIMEOUT;
  for (;;) {
    for (const mail of mails(to).reverse()) {
      const found = mail.split('\r\n').find(find);
      if (found && !seen.has(found)) {
        seen.add(found);
        return found;
      }
    }
    if (Date.now() > deadline) throw new Error(`no such mail to ${to}: ${mails(to).join('\n')}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

const seen = new Set();

/** The newest link of this kind that was mailed: `magic`, `reset` or `confirm`. */
export const mailedLink = (to, kind) => mailed(to, (line) => line.startsWith('http') && line.includes(`/links/${kind}`));

/** The newest code that was mailed. */
export const mailedCode = (to) => mailed(to, (line) => /^\d{6}$/.test(line));

/**
 * The text of the QR code in an image of the page. The pixels come as one string: Playwright walks arrays element by
 * element, which takes half a minute for an image.
 */
export async function readQr(image) {
  const { data, width, height } = await image.evaluate(async (element) => {
    await element.decode();
    const canvas = document.createElement('canvas');
    const scale = 4;
    canvas.width = element.width * scale;
    canvas.height = element.height * scale;
    const context = canvas.getContext('2d');
    context.imageSmoothingEnabled = false;
    context.drawImage(element, 0, 0, canvas.width, canvas.height);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
    return { data: new TextDecoder('latin1').decode(pixels.data), width: pixels.width, height: pixels.height };
  });
  const code = jsQR(new Uint8ClampedArray(Buffer.from(data, 'latin1')), width, height);
  if (!code) throw new Error('the image is no QR code');
  return code.data;
}

/** The code that an authenticator app shows for an `otpauth:` URI, a number of steps from now (RFC 6238). */
export function totp(uri, steps = 0) {
  const secret = new URL(uri).searchParams.get('secret');
  const bits = [...secret].map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'));
  const key = Buffer.from(bits.join('').match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const mac = createHmac('sha1', key).update(counter).digest();
  const number = mac.readUInt32BE(mac.at(-1) & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, '0');
}

// Takes a picture of what a page shows, in light and in dark.

import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { device } from '../../tests/it/browser/harness.js';
import { encodePng } from './palette.js';

const here = dirname(fileURLToPath(import.meta.url));

/** The largest picture, in bytes: everybody who clones the repository loads all of them. */
const MAX_BYTES = 100_000;

/** A screen with more below is cut here. */
const MAX_HEIGHT = 1000;

/** The widths of windows: of a screen with a navigation, of a form, of the smallest telephone. */
export const [WIDE, FORM, NARROW] = [1040, 560, 320];

const made = new Set();

/** A device whose window has this width. */
export const windowOf = (width, options = {}) =>
  device({ viewport: { width, height: 600 }, reducedMotion: 'reduce', ...options });

let decoder;

/** In the page: waits until it was drawn as it is now. */
const drawn = () => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); });

/**
 * Writes `NAME.png` and `NAME-dark.png`. The picture is as high as the page, but at least `least`, and at most a
 * screen.
 */
export async function picture(page, name, { least = 0, most = MAX_HEIGHT } = {}) {
  await page.mouse.move(0, 0);
  await page.waitForLoadState('networkidle');
  const size = page.viewportSize();
  // The page is not higher than what it shows in a window of no height.
  await page.setViewportSize({ ...size, height: 100 });
  const content = await page.evaluate(() => {
    // There is no scroll bar in a picture, and no place for one.
    document.documentElement.style.scrollbarGutter = 'auto';
    return document.documentElement.scrollHeight;
  });
  await page.setViewportSize({ ...size, height: Math.min(Math.max(content, least), most) });
  // Both at once, before a page that is live has changed.
  const shots = [];
  for (const [colorScheme, suffix] of [['light', ''], ['dark', '-dark']]) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.evaluate(drawn);
    shots.push([`${name}${suffix}.png`, await page.screenshot({ animations: 'disabled', caret: 'hide' })]);
  }
  for (const [file, shot] of shots) {
    const bytes = await encode(shot);
    if (bytes.length > MAX_BYTES) throw new Error(`${file} has ${bytes.length} bytes`);
    writeFileSync(join(here, file), bytes);
    made.add(file);
    console.log(`${file}: ${bytes.length} bytes`);
  }
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  await page.setViewportSize(size);
}

/** The same picture with a palette. Chromium reads the pixels, and hands them over as one string, which is fast. */
async function encode(png) {
  decoder ??= await (await device({ strict: false })).newPage();
  const { width, height, text } = await decoder.evaluate(async (base64) => {
    const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${base64}`)).blob());
    const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
    context.drawImage(image, 0, 0);
    const { data, width, height } = context.getImageData(0, 0, image.width, image.height);
    return { width, height, text: data.reduce((all, byte) => all + String.fromCharCode(byte), '') };
  }, png.toString('base64'));
  const bytes = Buffer.from(text, 'latin1');
  return encodePng(width, height, Array.from({ length: width * height }, (_, at) => bytes.readUIntBE(at * 4, 3)));
}

/** Deletes the pictures that are not made any more. */
export function removeOthers() {
  for (const file of readdirSync(here)) {
    if (/\.png$/.test(file) && !made.has(file)) rmSync(join(here, file));
  }
}

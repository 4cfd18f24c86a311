// PNG with a palette: a screen has few colors, and one byte for each pixel makes the file half as large.

import { crc32, deflateSync } from 'node:zlib';

const MAX_COLORS = 256;

/** A PNG of pixels with a color each, as 0xRRGGBB. Rare colors become the nearest frequent one. */
export function encodePng(width, height, pixels) {
  const counts = new Map();
  for (const color of pixels) counts.set(color, (counts.get(color) ?? 0) + 1);
  const colors = [...counts].sort(([, one], [, other]) => other - one).map(([color]) => color);
  const palette = colors.slice(0, MAX_COLORS);
  const indices = new Map(colors.map((color, at) => [color, at < MAX_COLORS ? at : nearest(palette, color)]));
  // Each row begins with its filter: none, which is best for palettes.
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) rows[y * (width + 1) + 1 + x] = indices.get(pixels[y * width + x]);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width);
  header.writeUInt32BE(height, 4);
  header.set([8, 3], 8);
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  return Buffer.concat([signature, chunk('IHDR', header), chunk('PLTE', Buffer.from(palette.flatMap(parts))),
    chunk('IDAT', deflateSync(rows, { level: 9, memLevel: 9 })), chunk('IEND', Buffer.alloc(0))]);
}

const parts = (color) => [color >> 16, (color >> 8) & 255, color & 255];

/** The place in the palette of the color with the least distance. */
function nearest(palette, color) {
  const wanted = parts(color);
  const distances = palette.map((each) => parts(each).reduce((sum, part, at) => sum + (part - wanted[at]) ** 2, 0));
  return distances.indexOf(Math.min(...distances));
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}

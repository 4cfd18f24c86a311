// Charts: pure functions from data to SVG elements, as plain objects {name, attributes, children}. They know no
// browser, so tests run them alone. Colours are in the style sheet, by class.

/** @typedef {{ name: string, attributes: Record<string, string | number>, children: (Drawn | string)[] }} Drawn */

/** @typedef {Drawn | string} Part */

/** @type {(name: string, attributes: Drawn['attributes'], ...children: (Part | Part[])[]) => Drawn} */
const element = (name, attributes, ...children) => ({ name, attributes, children: children.flat() });

const round = (/** @type {number} */ number) => Math.round(number * 10) / 10;

/** The text of an axis. @type {(x: number, y: number, anchor: 'start' | 'middle' | 'end', content: string) => Drawn} */
const text = (x, y, anchor, content) => element('text', { x: round(x), y: round(y), 'text-anchor': anchor }, content);

/** @type {(x1: number, y1: number, x2: number, y2: number, name: string) => Drawn} */
const line = (x1, y1, x2, y2, name) =>
  element('line', { x1: round(x1), y1: round(y1), x2: round(x2), y2: round(y2), class: name });

/**
 * The root. `label` says what a person who does not see the chart needs to know.
 * @type {(width: number, height: number, label: string, ...children: (Drawn | Drawn[])[]) => Drawn}
 */
const svg = (width, height, label, ...children) => element('svg', {
  class: 'chart', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': label,
}, ...children);

/**
 * Round values from 0 to `max` or just above, about `count` of them.
 * @param {number} max
 */
export function ticks(max, count = 3) {
  if (!(max > 0)) return [0, 1];
  const rough = max / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough * 0.999) ?? 10);
  const steps = Math.ceil(Number((max / step).toPrecision(12)));
  return Array.from({ length: steps + 1 }, (_, at) => Number((at * step).toPrecision(12)));
}

/**
 * The path through the points, interrupted where a value is missing.
 * @param {[number, number | null][]} points
 */
export function path(points) {
  let open = false;
  return points.map(([x, y]) => {
    if (y === null) {
      open = false;
      return '';
    }
    const command = open ? 'L' : 'M';
    open = true;
    return `${command}${round(x)} ${round(y)}`;
  }).join('');
}

/** @param {number | null} value */
const known = (value) => (value !== null && Number.isFinite(value) ? value : 0);

/**
 * Values over time, evenly spaced, oldest first; null where there is none.
 * @param {{lines: {name: string, values: (number|null)[]}[], width: number, height?: number, label: string,
 *   format?: (value: number) => string, from?: string, to?: string}} chart
 */
export function lineChart({ lines, width, height = 150, label, format = String, from = '', to = '' }) {
  const [left, right, top, bottom] = [46, 8, 10, 22];
  const scale = ticks(Math.max(0, ...lines.flatMap((each) => each.values.map(known))));
  const highest = scale[scale.length - 1] ?? 1;
  const length = Math.max(2, ...lines.map((each) => each.values.length));
  const x = (/** @type {number} */ at) => left + (at * (width - left - right)) / (length - 1);
  const y = (/** @type {number} */ value) => top + (1 - value / highest) * (height - top - bottom);
  /** @type {(list: (number | null)[]) => [number, number | null][]} */
  const points = (list) => list.map((value, at) =>
    [x(at + length - list.length), value !== null && Number.isFinite(value) ? y(value) : null]);
  const grid = scale.flatMap((value) => [
    line(left, y(value), width - right, y(value), 'grid'),
    text(left - 6, y(value) + 4, 'end', format(value)),
  ]);
  const drawn = lines.map((each, at) =>
    element('path', { d: path(points(each.values)), class: `line line-${at + 1}`, fill: 'none' }));
  const ends = [text(left, height - 5, 'start', from), text(width - right, height - 5, 'end', to)];
  return svg(width, height, label, grid, drawn, ends);
}

/**
 * One bar per row, for a cell of a table: the share of `of` as a part of the width.
 * @param {number} value @param {number} of @param {string} tone
 */
export function bar(value, of, tone = 'line-1') {
  const share = of > 0 ? Math.min(100, Math.max(0, (value / of) * 100)) : 0;
  return element('svg', { class: 'bar', width: '100%', height: 10, 'aria-hidden': 'true' },
    element('rect', { class: 'track', width: '100%', height: 10, rx: 3 }),
    element('rect', { class: `fill ${tone}`, width: `${round(share)}%`, height: 10, rx: 3 }));
}

/**
 * Spans of time, one row per item, with a mark at `now`. Times are in milliseconds; a span without end goes on.
 * @param {{rows: {label: string, spans: {from: number, to: number|null, kind: string}[]}[], now: number,
 *   width: number, label: string, format: (time: number) => string}} chart
 */
export function timeLine({ rows, now, width, label, format }) {
  // Where both times do not fit beside each other, the last one is below the first one.
  const second = width < 440 ? 16 : 0;
  const [left, right, top, rowHeight, bottom] = [112, 10, 8, 28, 24 + second];
  const spans = rows.flatMap((row) => row.spans);
  const times = [now, ...spans.flatMap((span) => [span.from, span.to ?? now])];
  let [first, last] = [Math.min(...times), Math.max(...times)];
  const margin = Math.max((last - first) * 0.04, 60_000);
  [first, last] = [first - margin, last + margin];
  const height = top + rows.length * rowHeight + bottom;
  const x = (/** @type {number} */ time) =>
    left + ((Math.min(Math.max(time, first), last) - first) / (last - first)) * (width - left - right);
  const drawn = rows.flatMap((row, at) => {
    const y = top + at * rowHeight;
    const bars = row.spans.map((span) => element('rect', {
      class: `span ${span.kind}`, x: round(x(span.from)), y: y + 5, rx: 4, height: rowHeight - 12,
      width: Math.max(2, round(x(span.to ?? last) - x(span.from))),
    }));
    return [text(left - 8, y + rowHeight / 2 + 4, 'end', row.label), ...bars];
  });
  const foot = height - bottom;
  return svg(width, height, label, drawn,
    line(x(now), top, x(now), foot, 'now'),
    text(second > 0 ? 0 : left, height - second - 6, 'start', format(first)),
    text(width - right, height - 6, 'end', format(last)));
}

/**
 * Durations of operations on a logarithmic scale: from the median to the maximum, with marks at the percentiles
 * between.
 * @param {{rows: {label: string, marks: (number | null)[], limit: number | null}[], width: number, label: string,
 *   format: (value: number) => string}} chart `marks` ascend; the first is the median.
 */
export function durations({ rows, width, label, format }) {
  const [left, right, top, rowHeight, bottom] = [104, 16, 6, 30, 24];
  const all = rows.flatMap((row) => [...row.marks, row.limit].map((value) => value ?? 0));
  const values = all.filter((value) => value > 0);
  const [low, high] = values.length > 0 ? [Math.min(...values), Math.max(...values)] : [1, 10];
  const first = Math.floor(Math.log10(low));
  const last = Math.max(first + 1, Math.ceil(Math.log10(high)));
  const height = top + rows.length * rowHeight + bottom;
  const x = (/** @type {number} */ value) => left
    + ((Math.log10(Math.max(value, 10 ** first)) - first) / (last - first)) * (width - left - right);
  const decades = Array.from({ length: last - first + 1 }, (_, at) => 10 ** (first + at));
  const grid = decades.flatMap((value) => [
    line(x(value), top, x(value), height - bottom, 'grid'), text(x(value), height - 6, 'middle', format(value)),
  ]);
  const drawn = rows.flatMap((row, at) => {
    const y = top + at * rowHeight + rowHeight / 2;
    const marks = row.marks.map((value) => value ?? 0).filter((value) => value > 0);
    const limit = row.limit ? [line(x(row.limit), y - 11, x(row.limit), y + 11, 'limit')] : [];
    const range = marks.length > 1 ? [line(x(Math.min(...marks)), y, x(Math.max(...marks)), y, 'range')] : [];
    const dots = marks.map((value, position) =>
      element('circle',
        { cx: round(x(value)), cy: round(y), r: position === 0 ? 5 : 3.5, class: `mark-${position + 1}` },
        element('title', {}, format(value))));
    return [text(left - 8, y + 4, 'end', row.label), ...range, ...limit, ...dots];
  });
  return svg(width, height, label, grid, drawn);
}

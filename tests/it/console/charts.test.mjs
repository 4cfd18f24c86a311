// The charts of the console: from data to SVG elements, without a browser.

import assert from 'node:assert/strict';
import test from 'node:test';
import { bar, durations, lineChart, path, ticks, timeLine } from '../../../src/api/pages/console/screens/chart.js';

/** All elements of a drawing that have this name and class. */
function all(drawn, name, kind = '') {
  const own = drawn.name === name && (kind === '' || String(drawn.attributes.class).split(' ').includes(kind)) ? [drawn] : [];
  return [...own, ...drawn.children.flatMap((child) => (typeof child === 'string' ? [] : all(child, name, kind)))];
}
const texts = (drawn) => all(drawn, 'text').map((each) => each.children.join(''));
const numbers = (d) => [...d.matchAll(/-?\d+(\.\d+)?/g)].map(([number]) => Number(number));

/** No coordinate of a drawing is outside of it or not a number. */
function assertInside(drawn) {
  const { width, height } = drawn.attributes;
  for (const name of ['line', 'rect', 'circle', 'text']) {
    for (const { attributes } of all(drawn, name)) {
      for (const [key, value] of Object.entries(attributes)) {
        const limit = { x: width, x1: width, x2: width, cx: width, y: height, y1: height, y2: height, cy: height }[key];
        if (limit !== undefined) assert.ok(value >= 0 && value <= limit, `${name} ${key}=${value}`);
      }
    }
  }
  for (const { attributes } of all(drawn, 'path')) {
    assert.ok(!/NaN|Infinity|undefined/.test(attributes.d), attributes.d);
    numbers(attributes.d).forEach((value, at) => {
      assert.ok(value >= 0 && value <= (at % 2 === 0 ? width : height), attributes.d);
    });
  }
}

test('ticks are round, ascend from zero and reach the largest value', () => {
  assert.deepEqual(ticks(100), [0, 50, 100]);
  assert.deepEqual(ticks(7), [0, 5, 10]);
  assert.deepEqual(ticks(0.3), [0, 0.1, 0.2, 0.3]);
  assert.deepEqual(ticks(0), [0, 1]);
  for (const max of [1e-9, 0.07, 0.9, 1, 3, 9.99, 10, 41, 1234, 5e8]) {
    const found = ticks(max);
    assert.ok(found.at(-1) >= max && found.length <= 5, `${max}: ${found}`);
  }
});

test('a line is interrupted where a value is missing', () => {
  assert.equal(path([[0, 1], [1, 2], [2, null], [3, 4], [4, 5]]), 'M0 1L1 2M3 4L4 5');
  assert.equal(path([[0, null]]), '');
});

test('the newest value is at the right, the largest at the top', () => {
  const drawn = lineChart({ lines: [{ name: 'rate', values: [0, 5, 10] }], width: 400, height: 150, label: 'rates' });
  const points = numbers(all(drawn, 'path', 'line')[0].attributes.d);
  assert.deepEqual([points[0], points[4]], [46, 392]);
  assert.deepEqual([points[1], points[5]], [128, 10]);
  assert.equal(drawn.attributes['aria-label'], 'rates');
  assert.equal(drawn.attributes.role, 'img');
  assertInside(drawn);
});

test('a short series ends at the right, and no series is an empty grid', () => {
  const lines = [{ name: 'long', values: [1, 2, 3, 4] }, { name: 'short', values: [2] }];
  const two = all(lineChart({ lines, width: 300, label: '' }), 'path', 'line-2')[0];
  assert.equal(numbers(two.attributes.d)[0], 292);
  for (const values of [[], [null, null], [NaN], [Infinity, 1]]) {
    assertInside(lineChart({ lines: [{ name: 'none', values }], width: 300, label: '' }));
  }
});

test('a bar is a share between nothing and all', () => {
  const width = (value, of) => all(bar(value, of), 'rect', 'fill')[0].attributes.width;
  assert.deepEqual([width(1, 4), width(9, 4), width(-1, 4), width(1, 0)], ['25%', '100%', '0%', '0%']);
});

test('spans follow each other on the time line, and now is marked', () => {
  const rows = [
    { label: 'one', spans: [{ from: 1e12, to: 2e12, kind: 'announced' }, { from: 2e12, to: null, kind: 'signing' }] },
    { label: 'two', spans: [{ from: 1.5e12, to: 1.5e12, kind: 'revoked' }] },
  ];
  const drawn = timeLine({ rows, now: 2.5e12, width: 500, label: 'keys', format: String });
  const [announced] = all(drawn, 'rect', 'announced');
  const [signing] = all(drawn, 'rect', 'signing');
  const end = announced.attributes.x + announced.attributes.width;
  assert.ok(Math.abs(end - signing.attributes.x) < 0.2, `${end} ${signing.attributes.x}`);
  const [now] = all(drawn, 'line', 'now');
  assert.ok(now.attributes.x1 > signing.attributes.x && now.attributes.x1 < signing.attributes.x + signing.attributes.width);
  assert.ok(all(drawn, 'rect', 'revoked')[0].attributes.width >= 2, 'a moment can be seen');
  assert.deepEqual(texts(drawn).slice(0, 2), ['one', 'two']);
  assertInside(drawn);
  assertInside(timeLine({ rows: [], now: 1e12, width: 300, label: '', format: String }));
});

test('the times of a narrow time line do not overlap', () => {
  const times = (width) => all(timeLine({ rows: [], now: 1e12, width, label: '', format: String }), 'text');
  const [first, last] = times(250);
  assert.ok(last.attributes.y - first.attributes.y >= 12);
  assert.equal(times(600)[0].attributes.y, times(600)[1].attributes.y);
});

test('durations are on a logarithmic scale that contains the limit', () => {
  const rows = [
    { label: 'verify', marks: [1, 3, 10, 30, 100], limit: 1000 },
    { label: 'none', marks: [null, null, null, null, null], limit: null },
  ];
  const drawn = durations({ rows, width: 600, label: 'durations', format: (value) => `${value} ms` });
  const xs = all(drawn, 'circle').map((each) => each.attributes.cx);
  assert.equal(xs.length, 5);
  assert.ok(Math.abs((xs[2] - xs[0]) - (xs[4] - xs[2])) < 0.3, 'a factor of ten has the same length everywhere');
  assert.equal(all(drawn, 'line', 'limit').length, 1);
  assert.ok(texts(drawn).includes('1000 ms'));
  assertInside(drawn);
  assertInside(durations({ rows: [], width: 300, label: '', format: String }));
});

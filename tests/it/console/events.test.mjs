// The list of events of the console: newer events arrive while older ones are read, and none is missed.

import assert from 'node:assert/strict';
import test from 'node:test';
import { MAX_SHOWN, withNewer, withOlder } from '../../../src/api/pages/console/screens/event_list.js';

/** Events from `newest` down to `oldest`. */
const events = (newest, oldest) => Array.from({ length: newest - oldest + 1 }, (_, at) => ({ cursor: `${newest - at}` }));
const ends = (list) => [list.events[0].cursor, list.events.at(-1).cursor, list.next];

test('older events go on where the list was cut off', () => {
  const list = { events: events(1000, 1000 - MAX_SHOWN + 1), next: '501' };
  const cut = withNewer(list, events(1003, 1001));
  assert.deepEqual(ends(cut), ['1003', '504', '504']);
  assert.deepEqual(ends(withOlder(cut, '504', { events: events(503, 404), next: '404' })), ['1003', '404', '404']);
});

test('newer events that arrive while older ones are read stay', () => {
  const list = withNewer({ events: events(20, 11), next: '11' }, events(22, 21));
  assert.deepEqual(ends(withOlder(list, '11', { events: events(10, 1), next: null })), ['22', '1', null]);
});

test('older events of a list that was cut off meanwhile are dropped', () => {
  const cut = withNewer({ events: events(MAX_SHOWN + 10, 11), next: '11' }, events(MAX_SHOWN + 11, MAX_SHOWN + 11));
  assert.equal(withOlder(cut, '11', { events: events(10, 1), next: null }), cut);
});

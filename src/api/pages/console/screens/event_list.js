// The events that the console lists: newest first, and the cursor before which the next older ones are. Pure; knows no
// browser.

/** @typedef {{ events: any[], next: string | null }} EventList */

/** The oldest events leave the list when newer ones exceed this number. */
export const MAX_SHOWN = 500;

/**
 * Adds newer events. If older ones leave the list, `next` is the cursor of the oldest that stays, so that they can be
 * read again.
 * @param {EventList} list
 * @param {any[]} newer  newest first
 * @returns {EventList}
 */
export function withNewer(list, newer) {
  const events = [...newer, ...list.events];
  if (events.length <= MAX_SHOWN) return { events, next: list.next };
  const shown = events.slice(0, MAX_SHOWN);
  return { events: shown, next: shown[MAX_SHOWN - 1].cursor };
}

/**
 * Adds the older events that were read before the cursor `before`, unless the end of the list has moved meanwhile.
 * @param {EventList} list
 * @param {string} before
 * @param {EventList} older
 * @returns {EventList}
 */
export function withOlder(list, before, older) {
  return list.next === before ? { events: [...list.events, ...older.events], next: older.next } : list;
}

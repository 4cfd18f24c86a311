// The reads and the changes of a screen, with the states of both.

import { Failed, Loading } from '../base/components.js';
import { call, session } from '../base/session.js';
import { computed, html, signal, useEffect, useState } from '../base/view.js';

/** @typedef {import('../base/http.js').Result} Result */
/** @typedef {import('../base/view.js').View} View */

/**
 * The newest overview, when it arrived, and why there is no newer one.
 * @type {import('../vendor/signals.js').Signal<{ data: any, at: number, failure: Result | null }>}
 */
export const overview = signal({ data: null, at: 0, failure: null });

/** The names of the stores that do not answer. Without the store of the users, the server can check no superuser. */
export const storesDown = computed(() => {
  const { data, failure } = overview.value;
  const named = (data?.this_node?.stores ?? []).filter((/** @type {any} */ store) => !store.up);
  const names = named.map((/** @type {any} */ store) => String(store.name));
  return names.length === 0 && failure?.type === 'unavailable' ? ['accounts'] : names;
});

/** True while a store or the server is down: what is on the screen can be read, and nothing can be changed. */
export const readOnly = computed(() => storesDown.value.length > 0 || overview.value.failure?.type === 'offline');

/** The number of readings that have begun, and that of the newest one with a result. */
const readings = { begun: 0, shown: 0 };

/** Reads the overview once. A result that arrives after that of a later reading is ignored. */
export async function readOverview() {
  readings.begun += 1;
  const number = readings.begun;
  const result = await call('GET', '/admin/overview');
  if (number < readings.shown) return;
  readings.shown = number;
  overview.value = result.ok
    ? { data: result.body, at: Date.now(), failure: null } : { ...overview.value, failure: result };
}

/**
 * Set while the user is asked to sign in again for a change that needs a recent sign-in; ends that. `done` is true if
 * the user signed in.
 * @type {import('../vendor/signals.js').Signal<((done: boolean) => void) | null>}
 */
export const signInAgain = signal(/** @type {((done: boolean) => void) | null} */ (null));

/**
 * Changes something on the server, or reads (`GET`) what needs a recent sign-in.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<Result>}
 */
export async function change(method, path, body) {
  if (method !== 'GET' && readOnly.value) {
    return { ok: false, status: 503, body: null, type: 'read_only', retryAfter: 0 };
  }
  // The key stays the same when the request is repeated, so that nothing is created twice.
  const headers = { 'idempotency-key': crypto.getRandomValues(new Uint32Array(4)).join('-') };
  const options = method === 'POST' ? { headers } : {};
  const result = await call(method, path, body, options);
  if (result.type !== 'insufficient_user_authentication') return result;
  const done = await new Promise((resolve) => { signInAgain.value = resolve; });
  signInAgain.value = null;
  return done ? call(method, path, body, options) : result;
}

/**
 * Reads `path`, again when it changes, and with `every` again after that many milliseconds while the tab is visible.
 * The data of the last successful read stays when a read fails. Waits while nobody is signed in.
 * @param {string | null} path  null: nothing yet
 * @param {number} [every]
 */
export function useResource(path, every = 0) {
  const [state, setState] = useState(/** @type {{ path: string | null, data: any, failure: Result | null }} */ (
    { path: null, data: null, failure: null }));
  const [turn, setTurn] = useState(0);
  const signedIn = session.value === 'signed-in';
  useEffect(() => {
    if (path === null || !signedIn) return undefined;
    const stop = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const load = async () => {
      if (!document.hidden || every === 0) {
        const result = await call('GET', path, undefined, { signal: stop.signal });
        if (stop.signal.aborted) return;
        setState((old) => ({
          path, data: result.ok ? result.body : old.path === path ? old.data : null, failure: result.ok ? null : result,
        }));
      }
      if (every > 0) timer = setTimeout(load, every);
    };
    void load();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [path, every, turn, signedIn]);
  const current = state.path === path;
  return {
    data: current ? state.data : null,
    failure: current ? state.failure : null,
    reload: () => setTurn((last) => last + 1),
  };
}

/**
 * The data, by `children(data)`; before it has arrived, the state of the request or its error.
 * @param {{ of: ReturnType<typeof useResource>, children: (data: any) => View }} props
 */
export const Read = ({ of, children }) => html`
  ${of.failure && html`<${Failed} result=${of.failure} retry=${of.reload} />`}
  ${of.data !== null ? children(of.data) : !of.failure && html`<${Loading} />`}`;

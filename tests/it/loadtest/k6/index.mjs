// k6: `check`, the only function of this module that the scripts import.

import { demand, emit } from './state.mjs';

export function check(value, checks, tags = {}) {
  demand(false, 'check');
  let allPass = true;
  for (const [name, predicate] of Object.entries(checks)) {
    const passes = Boolean(typeof predicate === 'function' ? predicate(value) : predicate);
    emit('checks', passes, { ...tags, check: name });
    allPass = allPass && passes;
  }
  return allPass;
}

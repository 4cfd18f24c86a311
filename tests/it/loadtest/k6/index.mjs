// k6: checks. What scripts here do not import is not here.

import { demand, emit } from './state.mjs';

export function check(value, facts, tags = {}) {
  demand(false, 'check');
  let right = true;
  for (const [name, fact] of Object.entries(facts)) {
    const holds = Boolean(typeof fact === 'function' ? fact(value) : fact);
    emit('checks', holds, { ...tags, check: name });
    right = right && holds;
  }
  return right;
}

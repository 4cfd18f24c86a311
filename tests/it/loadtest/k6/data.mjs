// k6/data: arrays that all virtual users share; an element is given as a copy.

import { demand } from './state.mjs';

export class SharedArray {
  constructor(name, make) {
    demand(true, 'new SharedArray');
    const all = make();
    if (typeof name !== 'string' || !Array.isArray(all)) throw new TypeError('SharedArray needs a name and an array');
    const texts = all.map((one) => JSON.stringify(one));
    return new Proxy(this, {
      get: (_, key) => {
        if (key === 'length') return texts.length;
        if (typeof key === 'string' && /^\d+$/.test(key)) return key < texts.length ? JSON.parse(texts[key]) : undefined;
        throw new TypeError(`a SharedArray has no ${String(key)} that costs nothing`);
      },
      set: () => {
        throw new TypeError('a SharedArray is read-only');
      },
    });
  }
}

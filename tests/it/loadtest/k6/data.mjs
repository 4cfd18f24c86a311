// k6/data: read-only arrays shared by all virtual users; each access returns a copy of the element.

import { demand } from './state.mjs';

export class SharedArray {
  constructor(name, make) {
    demand(true, 'new SharedArray');
    const items = make();
    if (typeof name !== 'string' || !Array.isArray(items)) throw new TypeError('SharedArray needs a name and an array');
    const texts = items.map((item) => JSON.stringify(item));
    return new Proxy(this, {
      get: (_, key) => {
        if (key === 'length') return texts.length;
        if (typeof key === 'string' && /^\d+$/.test(key)) return key < texts.length ? JSON.parse(texts[key]) : undefined;
        throw new TypeError(`SharedArray.${String(key)} is not supported here, because it copies every element`);
      },
      set: () => {
        throw new TypeError('a SharedArray is read-only');
      },
    });
  }
}

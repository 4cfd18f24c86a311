// k6/metrics: a script's own metrics. They are made while it is loaded, and get values while it runs.

import { demand, emit, state } from './state.mjs';

const made = (type) =>
  class {
    constructor(name) {
      demand(true, `new ${type}`);
      if (!/^[a-zA-Z_][a-zA-Z0-9_]{0,127}$/.test(name)) throw new Error(`${name} is no name of a metric`);
      state.metrics.set(name, type);
      this.name = name;
    }

    add(value, tags) {
      demand(false, `${this.name}.add`);
      if (!Number.isFinite(Number(value))) throw new TypeError(`${this.name}: ${value} is no number`);
      emit(this.name, value, tags);
    }
  };

export const Counter = made('counter');
export const Gauge = made('gauge');
export const Rate = made('rate');
export const Trend = made('trend');

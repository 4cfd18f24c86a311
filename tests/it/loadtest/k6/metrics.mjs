// k6/metrics: custom metrics. They are created in the init context and receive values while the script runs.

import { demand, emit, state } from './state.mjs';

const metricClass = (type) =>
  class {
    constructor(name) {
      demand(true, `new ${type}`);
      if (!/^[a-zA-Z_][a-zA-Z0-9_]{0,127}$/.test(name)) throw new Error(`${name} is not a metric name`);
      state.metrics.set(name, type);
      this.name = name;
    }

    add(value, tags) {
      demand(false, `${this.name}.add`);
      if (!Number.isFinite(Number(value))) throw new TypeError(`${this.name}: ${value} is not a number`);
      emit(this.name, value, tags);
    }
  };

export const Counter = metricClass('counter');
export const Gauge = metricClass('gauge');
export const Rate = metricClass('rate');
export const Trend = metricClass('trend');

// k6/execution: the state of this virtual user and its scenario.

import { demand, state } from './state.mjs';

export default {
  scenario: {
    get name() {
      return state.scenario.name;
    },
    get executor() {
      return state.scenario.executor;
    },
    get startTime() {
      return state.scenario.start;
    },
    get progress() {
      demand(false, 'scenario.progress');
      return state.scenario.progress;
    },
    get iterationInTest() {
      demand(false, 'scenario.iterationInTest');
      return state.scenario.iteration;
    },
  },
  vu: {
    get idInTest() {
      demand(false, 'vu.idInTest');
      return state.vu.id;
    },
    get iterationInScenario() {
      return state.vu.iteration;
    },
    metrics: {
      get tags() {
        demand(false, 'vu.metrics.tags');
        return state.tags;
      },
    },
  },
};

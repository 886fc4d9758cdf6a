// Whether full quality is back five seconds after an overload: from then on as before it.
import { arrivals } from './settings.js';

const WITHIN_S = 5;

// Two scenarios from `begins` seconds on: `recovering`, in which anything may happen, and `recovered`.
export function afterwards(rate, begins, length) {
  return {
    recovering: arrivals(rate, `${WITHIN_S}s`, { startTime: `${begins}s` }),
    recovered: arrivals(rate, `${length}s`, { startTime: `${begins + WITHIN_S}s` }),
  };
}

// What full quality is, in a scenario: room for one answer in a hundred, as machines are noisy.
export function fullQuality(scenario) {
  return {
    [`plugrank_degraded{scenario:${scenario}}`]: ['rate<0.01'],
    [`plugrank_refused{scenario:${scenario}}`]: ['rate<0.01'],
  };
}

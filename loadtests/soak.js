// RATE requests a second for an hour, with clicks: nothing grows slower, worse or fails with time.
//   k6 run -e BASE_URL=http://127.0.0.1:8080 -e RATE=100 loadtests/soak.js
import { click, rank } from './lib/rank.js';
import { RATE, SCALE, arrivals, options as shared } from './lib/settings.js';

// Four quarters, so that the last can be held to the bounds of the first.
const quarter = Math.max(1, Math.round(900 * SCALE));
const names = ['q1', 'q2', 'q3', 'q4'];

export const options = shared(
  Object.fromEntries(names.map((name, n) => [name, arrivals(RATE, `${quarter}s`, { startTime: `${n * quarter}s` })])),
  {
    checks: ['rate==1'],
    plugrank_failed: ['rate==0'],
    plugrank_refused: ['rate<0.0001'],
    dropped_iterations: ['count==0'],
    ...Object.fromEntries(names.map((name) => [`plugrank_in_budget{scenario:${name}}`, ['rate>0.999']])),
    ...Object.fromEntries(names.map((name) => [`plugrank_degraded{scenario:${name}}`, ['rate<0.01']])),
    // For the summary alone.
    ...Object.fromEntries(names.map((name) => [`plugrank_spent_ms{scenario:${name}}`, ['max>=0']])),
  },
);

export default function soak() {
  const answer = rank();
  if (Math.random() < 0.05) click(answer);
}

// Ordinary traffic at RATE, five times as much all at once, and ordinary traffic again: what is admitted
// is answered in time, the rest is refused, and full quality is back within five seconds.
//   k6 run -e BASE_URL=http://127.0.0.1:8080 -e RATE=100 -e TIMES=5 loadtests/spike.js
import { rank } from './lib/rank.js';
import { RECOVERED, recover } from './lib/recovery.js';
import { RATE, SCALE, arrivals, number, options as shared, seconds } from './lib/settings.js';

const TIMES = number('TIMES', 5);
const [before, during] = [30 * SCALE, 20 * SCALE].map((length) => Math.max(1, Math.round(length)));

export const options = shared(
  {
    before: arrivals(RATE, `${before}s`),
    spike: arrivals(TIMES * RATE, `${during}s`, { startTime: `${before}s`, gracefulStop: '10s' }),
    after: arrivals(RATE, seconds(30), { startTime: `${before + during}s`, exec: 'recovering' }),
  },
  {
    plugrank_failed: ['rate==0'],
    plugrank_in_budget: ['rate>=0.999'],
    'plugrank_refused{scenario:before}': ['rate<0.001'],
    'plugrank_degraded{scenario:before}': ['rate<0.01'],
    ...RECOVERED,
  },
);

export default function spike() {
  rank();
}

export function recovering() {
  recover();
}

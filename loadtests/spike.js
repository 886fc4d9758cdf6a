// Ordinary traffic at RATE, five times as much all at once, and ordinary traffic again: what is admitted
// is answered in time, the rest is refused, and full quality is back within five seconds.
//   k6 run -e BASE_URL=http://127.0.0.1:8080 -e RATE=100 -e TIMES=5 loadtests/spike.js
import { rank } from './lib/rank.js';
import { afterwards, fullQuality } from './lib/recovery.js';
import { RATE, SCALE, arrivals, number, options as shared } from './lib/settings.js';

const TIMES = number('TIMES', 5);
const [before, during, after] = [30, 20, 30].map((length) => Math.max(1, Math.round(length * SCALE)));

export const options = shared(
  {
    before: arrivals(RATE, `${before}s`),
    spike: arrivals(TIMES * RATE, `${during}s`, { startTime: `${before}s`, gracefulStop: '10s' }),
    ...afterwards(RATE, before + during, after),
  },
  {
    plugrank_failed: ['rate==0'],
    plugrank_in_budget: ['rate>=0.999'],
    ...fullQuality('before'),
    ...fullQuality('recovered'),
  },
);

export default function spike() {
  rank();
}

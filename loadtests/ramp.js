// From nothing to RATE requests a second, held there, and back: full quality at every rate up to it.
//   k6 run -e BASE_URL=http://127.0.0.1:8080 -e RATE=200 loadtests/ramp.js
import { click, rank } from './lib/rank.js';
import { RATE, changingArrivals, options as shared, seconds } from './lib/settings.js';

export const options = shared(
  {
    ramp: changingArrivals(1, [
      { duration: seconds(60), target: RATE },
      { duration: seconds(60), target: RATE },
      { duration: seconds(30), target: 1 },
    ]),
  },
  {
    checks: ['rate==1'],
    plugrank_failed: ['rate==0'],
    plugrank_refused: ['rate<0.001'],
    plugrank_degraded: ['rate<0.01'],
    plugrank_in_budget: ['rate>0.999'],
    // Callers enough for the rate, or it was not sent.
    dropped_iterations: ['count==0'],
  },
);

export default function ramp() {
  const answer = rank();
  if (Math.random() < 0.05) click(answer);
}

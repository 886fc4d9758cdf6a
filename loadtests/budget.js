// The latency budget under three times the load that can be sustained. RATE is the sustainable rate and
// GOODPUT the highest goodput, both as capacity.js found them (`cargo xtask load budget` runs both).
//   k6 run -e BASE_URL=http://127.0.0.1:8080 -e RATE=400 -e GOODPUT=450 loadtests/budget.js
//
// Holds when, at three times RATE, 99.9% of the admitted requests are answered within their budget and
// 5 ms, goodput keeps 90% of its highest, and full quality is back within 5 s after the load ends.
import { rank } from './lib/rank.js';
import { afterwards, fullQuality } from './lib/recovery.js';
import { RATE, SCALE, arrivals, changingArrivals, number, options as shared } from './lib/settings.js';

// Never more than is sent.
const GOODPUT = Math.min(number('GOODPUT', RATE), 3 * RATE);
const [calm, rise, overload, after] = [10, 5, 60, 20].map((length) => Math.max(2, Math.round(length * SCALE)));

export const options = shared(
  {
    calm: arrivals(RATE / 2, `${calm}s`),
    rise: changingArrivals(RATE, [{ duration: `${rise}s`, target: 3 * RATE }], { startTime: `${calm}s` }),
    overload: arrivals(3 * RATE, `${overload}s`, { startTime: `${calm + rise}s` }),
    ...afterwards(RATE / 2, calm + rise + overload, after),
  },
  {
    'plugrank_in_budget{scenario:overload}': ['rate>=0.999'],
    'plugrank_good{scenario:overload}': [`count>=${Math.floor(0.9 * GOODPUT * overload)}`],
    // Otherwise it was not three times the rate.
    'dropped_iterations{scenario:overload}': [`count<${Math.max(1, 0.01 * 3 * RATE * overload)}`],
    ...fullQuality('calm'),
    ...fullQuality('recovered'),
    // For the summary alone.
    'plugrank_spent_ms{scenario:overload}': ['max>=0'],
    // k6's clock decides nothing: at thousands of requests a second k6 is late itself.
    'plugrank_client_ms{scenario:overload}': ['max>=0'],
    'plugrank_in_budget_client{scenario:overload}': ['rate>=0'],
    'plugrank_refused{scenario:overload}': ['rate>=0'],
    'plugrank_degraded{scenario:overload}': ['rate>=0'],
  },
);

export default function budget() {
  rank();
}

// A few seconds of ordinary traffic: every answer must be whole. Says nothing about capacity.
//   k6 run -e BASE_URL=http://127.0.0.1:8080 loadtests/smoke.js
import { click, rank } from './lib/shop.js';

export const options = {
  scenarios: { smoke: { executor: 'constant-vus', vus: 2, duration: __ENV.DURATION || '10s', gracefulStop: '5s' } },
  thresholds: { checks: ['rate==1'], http_req_failed: ['rate==0'] },
  summaryTrendStats: ['med', 'p(95)', 'p(99)', 'max'],
};

export default function smoke() {
  const { user, reply } = rank(20);
  if (reply !== null && Math.random() < 0.1) click(user, reply);
}

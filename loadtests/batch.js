// Batches of 20 beside single requests.
//   k6 run -e BASE_URL=http://127.0.0.1:8080 loadtests/batch.js
import { check } from 'k6';
import http from 'k6/http';
import { HEADERS, anyone, rank } from './lib/rank.js';
import { BASE_URL, BUDGET, K, RATE, arrivals, options as shared, seconds } from './lib/settings.js';

const SIZE = 20;

export const options = shared(
  {
    single: { ...arrivals(RATE / 2, seconds(60)), exec: 'single' },
    batch: { ...arrivals(RATE / 2 / SIZE, seconds(60)), exec: 'batch' },
  },
  { checks: ['rate==1'], plugrank_failed: ['rate==0'] },
);

export function single() {
  rank();
}

export function batch() {
  const requests = Array.from({ length: SIZE }, () => ({ user_id: anyone(), k: K, ...BUDGET }));
  const response = http.post(`${BASE_URL}/v1/rank/batch`, JSON.stringify({ requests }), { headers: HEADERS, tags: { name: 'batch' } });
  check(response, {
    'status is 200': (r) => r.status === 200,
    'each has an answer': (r) => r.json().results.length === SIZE,
    'none failed': (r) => r.json().results.every((one) => [200, 429, 503].includes(one.status)),
  });
}

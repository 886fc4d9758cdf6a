// Events beside rankings: a hundred times as many events a second as rank requests, in batches. With RATE=100 that is
// 10,000 a second.
//   k6 run -e BASE_URL=http://127.0.0.1:8080 -e RATE=100 loadtests/events.js
import { check } from 'k6';
import http from 'k6/http';
import { Counter } from 'k6/metrics';
import { HEADERS, anyone, rank } from './lib/rank.js';
import { BASE_URL, RATE, arrivals, options as shared, seconds } from './lib/settings.js';

// Events of a request, and events for each rank request.
const BATCH = 200;
const TIMES = 100;
const accepted = new Counter('plugrank_events_accepted');

export const options = shared(
  {
    lists: { ...arrivals(RATE, seconds(60)), exec: 'lists' },
    events: { ...arrivals((RATE * TIMES) / BATCH, seconds(60)), exec: 'events' },
  },
  {
    checks: ['rate==1'],
    plugrank_failed: ['rate==0'],
    // None is late, by the server's clock.
    plugrank_in_budget: ['rate==1'],
    plugrank_degraded: ['rate<0.05'],
  },
);

export function lists() {
  rank();
}

export function events() {
  const user = anyone();
  const made = `${__VU}-${__ITER}-${Date.now()}`;
  const batch = Array.from({ length: BATCH }, (_, n) => ({
    event_id: `${made}-${n}`,
    type: n % 10 === 0 ? 'click' : 'impression',
    user_id: n % 20 === 0 ? user : anyone(),
    item_id: `i${1 + Math.floor(Math.random() * 1500)}`,
  }));
  const response = http.post(`${BASE_URL}/v1/events`, JSON.stringify({ events: batch }), {
    headers: HEADERS,
    tags: { name: 'events' },
    timeout: '10s',
  });
  const whole = check(response, {
    'every event is accepted': (r) => r.status === 202 && r.json().results.every((one) => one.status === 'accepted'),
  });
  if (whole) accepted.add(BATCH);
}

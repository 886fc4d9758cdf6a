// What every scenario shares: where the server is, who asks, and what an answer must look like.
import http from 'k6/http';
import { check } from 'k6';
import { Counter, Trend } from 'k6/metrics';

export const BASE_URL = __ENV.BASE_URL || 'http://127.0.0.1:8080';
const USERS = Number(__ENV.USERS || 1000);
const USER_PREFIX = __ENV.USER_PREFIX === undefined ? 'u' : __ENV.USER_PREFIX;
const HEADERS = { 'content-type': 'application/json' };

export const spentMs = new Trend('plugrank_spent_ms', true);
export const degraded = new Counter('plugrank_degraded');
export const overBudget = new Counter('plugrank_over_budget');

// Ranks k items for a random user and checks the answer.
export function rank(k) {
  const user = `${USER_PREFIX}${1 + Math.floor(Math.random() * USERS)}`;
  const body = JSON.stringify({ user_id: user, k });
  const response = http.post(`${BASE_URL}/v1/rank`, body, { headers: HEADERS, tags: { name: 'rank' } });
  const reply = response.status === 200 ? response.json() : null;
  check(response, {
    'status is 200': () => reply !== null,
    'k distinct items': () => reply !== null && new Set(reply.items.map((item) => item.item_id)).size === k,
    'in falling order': () => reply !== null && reply.items.every((item, n) => n === 0 || reply.items[n - 1].score >= item.score),
  });
  if (reply !== null) {
    spentMs.add(reply.budget.spent_ms);
    if (reply.degraded.length > 0) degraded.add(1);
    if (reply.budget.spent_ms > reply.budget.total_ms) overBudget.add(1);
  }
  return { user, reply };
}

// Reports a click on the first item of an answer.
export function click(user, reply) {
  const event = {
    event_id: `${__VU}-${__ITER}-${Date.now()}`,
    type: 'click',
    user_id: user,
    item_id: reply.items[0].item_id,
    request_id: reply.request_id,
    position: 0,
  };
  const response = http.post(`${BASE_URL}/v1/events`, JSON.stringify({ events: [event] }), {
    headers: HEADERS,
    tags: { name: 'events' },
  });
  check(response, { 'event is durable': (r) => r.status === 202 });
}

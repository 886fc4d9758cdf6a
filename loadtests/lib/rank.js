// Asks for rankings, and sorts what comes back: whole, degraded, refused or failed.
import http from 'k6/http';
import { check } from 'k6';
import { Counter, Rate, Trend } from 'k6/metrics';
import { BASE_URL, BUDGET, K, KEY, USERS, USER_PREFIX } from './settings.js';

// A refusal is an answer that was asked for: 429, 503.
http.setResponseCallback(http.expectedStatuses({ min: 200, max: 299 }, 429, 503));
export const HEADERS = { 'content-type': 'application/json', ...(KEY && { authorization: `Bearer ${KEY}` }) };
// What an answer may take beyond its budget.
const SLACK_MS = 5;

// The server's own measurement, from a request's head to its answer: `budget.spent_ms` of the reply.
const spent = new Trend('plugrank_spent_ms', true);
// What this process measures; on a shared machine its own waiting for a core is in it.
const client = new Trend('plugrank_client_ms', true);
// Of the admitted requests, which are those not refused: answered within budget and slack, by either clock.
const inBudget = new Rate('plugrank_in_budget');
const inBudgetAtClient = new Rate('plugrank_in_budget_client');
// Of the answers with status 200: not of full quality.
const degraded = new Rate('plugrank_degraded');
// Of all requests: refused as they should be, and neither that nor answered.
const refused = new Rate('plugrank_refused');
const failed = new Rate('plugrank_failed');
// Answers within budget and slack, counted (the goodput) and as a share of all requests.
const good = new Counter('plugrank_good');
const served = new Rate('plugrank_served');

// Some user.
export function anyone() {
  return `${USER_PREFIX}${1 + Math.floor(Math.random() * USERS)}`;
}

// Ranks K items for a random user; `more` is what else the request says. `kind`: "whole", "degraded",
// "refused" or "failed".
export function rank(more) {
  const user = anyone();
  const body = { user_id: user, k: K, ...BUDGET, ...more };
  const response = http.post(`${BASE_URL}/v1/rank`, JSON.stringify(body), {
    headers: HEADERS,
    tags: { name: 'rank' },
    timeout: '10s',
  });
  const refusal = (response.status === 429 || response.status === 503) && 'Retry-After' in response.headers;
  refused.add(refusal);
  failed.add(response.status !== 200 && !refusal);
  if (response.status !== 200) {
    served.add(false);
    if (!refusal) {
      inBudget.add(false);
      inBudgetAtClient.add(false);
    }
    return { kind: refusal ? 'refused' : 'failed', user, response, reply: null };
  }
  const reply = response.json();
  const limit = reply.budget.total_ms + SLACK_MS;
  const took = response.timings.duration;
  spent.add(reply.budget.spent_ms);
  client.add(took);
  inBudget.add(reply.budget.spent_ms <= limit);
  inBudgetAtClient.add(took <= limit);
  degraded.add(reply.degraded.length > 0);
  served.add(reply.budget.spent_ms <= limit);
  if (reply.budget.spent_ms <= limit) good.add(1);
  return { kind: reply.degraded.length > 0 ? 'degraded' : 'whole', user, response, reply };
}

// Whether a ranking is one: K distinct items in falling order.
export function checkRanking({ response, reply }) {
  check(response, {
    'status is 200': (r) => r.status === 200,
    'K distinct items': () => reply !== null && new Set(reply.items.map((item) => item.item_id)).size === K,
    'in falling order': () =>
      reply !== null && reply.items.every((item, n) => n === 0 || reply.items[n - 1].score >= item.score),
  });
}

// Reports a click on the first item of an answer.
export function click({ user, reply }) {
  if (reply === null || reply.items.length === 0) return;
  const event = {
    event_id: `${reply.request_id}-0`,
    type: 'click',
    user_id: user,
    item_id: reply.items[0].item_id,
    request_id: reply.request_id,
    position: 1,
  };
  const response = http.post(`${BASE_URL}/v1/events`, JSON.stringify({ events: [event] }), {
    headers: HEADERS,
    tags: { name: 'events' },
    timeout: '10s',
  });
  check(response, { 'event is durable': (r) => r.status === 202 });
}

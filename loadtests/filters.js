// Requests with filters of every width beside as many without one: answers are full, and not much slower.
//   k6 run -e BASE_URL=http://127.0.0.1:8080 -e ITEMS=1500 loadtests/filters.js
// The shop's items are i1, i2, ... in the order in which they came into the catalog, as the simulator makes them.
import { check } from 'k6';
import http from 'k6/http';
import { Trend } from 'k6/metrics';
import { HEADERS, rank } from './lib/rank.js';
import { BASE_URL, K, RATE, arrivals, number, options as shared, seconds } from './lib/settings.js';

const ITEMS = number('ITEMS', 1500);
// How much slower a request with a filter may be, at the median.
const MOST = 1.5;

const WIDTHS = [
  { share: 0.5, spent: new Trend('plugrank_half_ms', true) },
  { share: 0.05, spent: new Trend('plugrank_twentieth_ms', true) },
  { share: 0.005, spent: new Trend('plugrank_two_hundredth_ms', true) },
];
const without = new Trend('plugrank_without_ms', true);

export const options = shared(
  { filters: arrivals(RATE, seconds(60)) },
  { checks: ['rate==1'], plugrank_failed: ['rate==0'] },
);

// The moment up to which so many items came into the catalog.
function moment(items) {
  const response = http.get(`${BASE_URL}/v1/items/i${items}`, { headers: HEADERS, tags: { name: 'item' } });
  if (response.status !== 200) throw new Error(`item i${items}: ${response.status} ${response.body}; set -e ITEMS=N`);
  return response.json().created_at;
}

export function setup() {
  return WIDTHS.map(({ share }) => {
    const items = Math.max(1, Math.round(share * ITEMS));
    return { items, filter: { must: [{ field: 'created_at', lte: moment(items) }] } };
  });
}

export default function filters(narrowed) {
  const at = Math.floor(Math.random() * (WIDTHS.length + 1));
  if (at === WIDTHS.length) {
    const { response, reply } = rank({});
    if (reply === null) return;
    without.add(reply.budget.spent_ms);
    check(response, { 'K items': () => reply.items.length === K });
    return;
  }
  const { items, filter } = narrowed[at];
  const { response, reply } = rank({ filter });
  if (reply === null) return;
  WIDTHS[at].spent.add(reply.budget.spent_ms);
  check(response, {
    // What the user has clicked is not shown again.
    'as many as match': () => reply.items.length === K || items < 4 * K,
    'all match': () => reply.items.every((item) => Number(item.item_id.slice(1)) <= items),
  });
}

export function handleSummary(data) {
  const median = (name) => (data.metrics[name] ? data.metrics[name].values.med : null);
  const base = median('plugrank_without_ms');
  const slow = [];
  const rows = ['plugrank_half_ms', 'plugrank_twentieth_ms', 'plugrank_two_hundredth_ms'].map((name) => {
    const found = median(name);
    if (base && found > MOST * base) slow.push(name);
    return `${name}: p50 ${found} ms, ${base && found ? (found / base).toFixed(2) : '?'} times that without a filter (${base} ms)`;
  });
  rows.push(slow.length === 0 ? `none is ${MOST} times slower` : `slower than ${MOST} times: ${slow.join(', ')}`);
  const out = __ENV.OUT ? { [__ENV.OUT]: JSON.stringify({ slow }) } : {};
  return { stdout: `${rows.join('\n')}\n`, ...out };
}

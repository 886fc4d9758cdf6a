// Requests with filters of every width beside as many without one: answers are full, and not much slower.
//   k6 run -e BASE_URL=http://127.0.0.1:8080 loadtests/filters.js
import { check } from 'k6';
import { Trend } from 'k6/metrics';
import { rank } from './lib/rank.js';
import { K, RATE, arrivals, options as shared, seconds } from './lib/settings.js';

const half = new Trend('plugrank_half_ms', true);
const twentieth = new Trend('plugrank_twentieth_ms', true);
const narrow = new Trend('plugrank_two_hundredth_ms', true);
const without = new Trend('plugrank_without_ms', true);

// The shop's items are i1, i2, ...: every so many of them are named.
function every(step) {
  const ids = [];
  for (let n = 1; n <= 4000 && ids.length < 4000; n += step) ids.push(`i${n}`);
  return { must: [{ field: 'item_id', any: ids }] };
}

const WIDTHS = [
  [without, undefined],
  [half, every(2)],
  [twentieth, every(20)],
  [narrow, every(200)],
];

export const options = shared(
  { filters: arrivals(RATE, seconds(60)) },
  { checks: ['rate==1'], plugrank_failed: ['rate==0'] },
);

export default function filters() {
  const [spent, filter] = WIDTHS[Math.floor(Math.random() * WIDTHS.length)];
  const { response, reply } = rank(filter === undefined ? {} : { filter });
  if (reply === null) return;
  spent.add(reply.budget.spent_ms);
  const known = filter === undefined ? null : new Set(filter.must[0].any);
  check(response, {
    'as many as match': () => reply.items.length === K || (known !== null && known.size < K * 2),
    'all match': () => known === null || reply.items.every((item) => known.has(item.item_id)),
  });
}

export function handleSummary(data) {
  const median = (name) => (data.metrics[name] ? data.metrics[name].values.med : null);
  const base = median('plugrank_without_ms');
  const rows = ['plugrank_half_ms', 'plugrank_twentieth_ms', 'plugrank_two_hundredth_ms'].map((name) => {
    const found = median(name);
    return `${name}: p50 ${found} ms, ${base && found ? (found / base).toFixed(2) : '?'} times that without a filter (${base} ms)`;
  });
  return { stdout: `${rows.join('\n')}\n` };
}

// Finds the sustainable rate: steps of a rising arrival rate, until half of the requests are not served
// in time. Writes the steps, the highest rate kept at full quality, and the highest goodput, to OUT.
//   k6 run -e BASE_URL=http://127.0.0.1:8080 -e START=20 -e OUT=capacity.json loadtests/capacity.js
import { rank } from './lib/rank.js';
import { arrivals, number, options as shared, seconds } from './lib/settings.js';

const START = number('START', 20);
const MOST = number('MOST', 20000);
const FACTOR = 1.25;
// Seconds of a step.
const LENGTH = parseInt(seconds(6));
const OUT = __ENV.OUT || 'capacity.json';

// Both shares of a step's requests: what a sustained rate allows.
const DEGRADED = 0.05;
const NOT_SERVED = 0.05;

const steps = [];
for (let rate = Math.max(1, Math.round(START)); rate <= MOST; rate = Math.max(rate + 1, Math.round(rate * FACTOR))) {
  steps.push({ name: `r${rate}`, rate, begins: steps.length * LENGTH });
}

function thresholds() {
  const of = {};
  for (const { name, begins } of steps) {
    // Not before a second of the step has passed: one late answer of three says nothing.
    const abort = { threshold: 'rate>0.5', abortOnFail: true, delayAbortEval: `${begins + 1}s` };
    of[`plugrank_served{scenario:${name}}`] = [abort];
    // For the summary alone: k6 keeps figures by scenario only where a threshold asks for them.
    of[`plugrank_degraded{scenario:${name}}`] = ['rate>=0'];
    of[`plugrank_refused{scenario:${name}}`] = ['rate>=0'];
    of[`plugrank_good{scenario:${name}}`] = ['count>=0'];
    of[`plugrank_spent_ms{scenario:${name}}`] = ['max>=0'];
    of[`plugrank_client_ms{scenario:${name}}`] = ['max>=0'];
    of[`iterations{scenario:${name}}`] = ['count>=0'];
  }
  return of;
}

export const options = shared(
  Object.fromEntries(steps.map(({ name, rate, begins }) => [name, arrivals(rate, `${LENGTH}s`, { startTime: `${begins}s`, gracefulStop: '1s' })])),
  thresholds(),
);

export default function capacity() {
  rank();
}

export function handleSummary(data) {
  const value = (metric, name, key) => (data.metrics[`${metric}{scenario:${name}}`] || { values: {} }).values[key] || 0;
  const run = steps
    .map(({ name, rate }) => {
      const sent = value('iterations', name, 'count');
      const served = value('plugrank_served', name, 'rate');
      const degraded = value('plugrank_degraded', name, 'rate');
      return {
        rate,
        sent_share: sent / (rate * LENGTH),
        goodput: value('plugrank_good', name, 'count') / LENGTH,
        served_share: served,
        degraded_share: degraded,
        refused_share: value('plugrank_refused', name, 'rate'),
        spent_p99_ms: value('plugrank_spent_ms', name, 'p(99)'),
        client_p99_ms: value('plugrank_client_ms', name, 'p(99)'),
      };
    })
    .filter((step) => step.sent_share > 0);
  const holds = (step) => step.sent_share > 0.95 && step.served_share >= 1 - NOT_SERVED && step.degraded_share <= DEGRADED;
  // One broken step may be noise; after two in a row nothing above counts.
  const end = run.findIndex((step, n) => n > 0 && !holds(step) && !holds(run[n - 1]));
  const kept = (end < 0 ? run : run.slice(0, end)).filter(holds);
  const result = {
    sustainable_rate: kept.length > 0 ? kept[kept.length - 1].rate : 0,
    goodput: Math.max(0, ...run.map((step) => step.goodput)),
    steps: run,
  };
  const row = (cells) => cells.map((cell) => String(cell).padStart(10)).join('') + '\n';
  const share = (part) => `${(100 * part).toFixed(1)}%`;
  let text = row(['rate/s', 'sent', 'served', 'degraded', 'refused', 'good/s', 'p99 ms', 'at k6']);
  for (const s of run) {
    const cells = [share(s.sent_share), share(s.served_share), share(s.degraded_share), share(s.refused_share)];
    text += row([s.rate, ...cells, s.goodput.toFixed(0), s.spent_p99_ms.toFixed(1), s.client_p99_ms.toFixed(1)]);
  }
  text += `sustainable at full quality: ${result.sustainable_rate}/s; highest goodput: ${result.goodput.toFixed(0)}/s\n`;
  return { stdout: text, [OUT]: `${JSON.stringify(result, null, 2)}\n` };
}

// What the server does at the moment, from its metrics.
import { $, el, fact, ms, rate, words } from "./page.js";
import { text } from "./server.js";

const EVERY_MS = 2000;
const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

// Samples of the Prometheus text format: name, labels, value.
export function samples(page) {
  const found = [];
  for (const line of page.split("\n")) {
    const parts = line.startsWith("#") ? null : LINE.exec(line);
    if (!parts) continue;
    const labels = Object.fromEntries([...(parts[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name, value]));
    found.push({ name: parts[1], labels, value: Number(parts[3]) });
  }
  return found;
}

const RANK = { route: "/v1/rank" };
const meets = (labels, wanted) => Object.entries(wanted).every(([name, value]) => labels[name] === value);
const sum = (all, name, wanted = {}) => all.filter(one => one.name === name && meets(one.labels, wanted)).reduce((of, one) => of + one.value, 0);

function by(all, name, label) {
  const sums = new Map();
  for (const one of all) if (one.name === name) sums.set(one.labels[label], (sums.get(one.labels[label]) ?? 0) + one.value);
  return sums;
}

// A quantile in milliseconds, evenly spread within its bucket; null without samples.
function quantile(now, before, share) {
  const name = "plugrank_http_request_duration_seconds_bucket";
  const bounds = all => {
    const sums = new Map();
    for (const one of all) if (one.name === name && meets(one.labels, RANK)) {
      const bound = one.labels.le === "+Inf" ? Infinity : Number(one.labels.le);
      sums.set(bound, (sums.get(bound) ?? 0) + one.value);
    }
    return sums;
  };
  const earlier = bounds(before);
  const buckets = [...bounds(now)].map(([bound, count]) => [bound, count - (earlier.get(bound) ?? 0)]).sort((a, b) => a[0] - b[0]);
  const all = buckets.at(-1)?.[1] ?? 0;
  if (all <= 0) return null;
  const at = buckets.findIndex(([, below]) => below >= all * share);
  const [low, under] = at === 0 ? [0, 0] : buckets[at - 1];
  const [bound, below] = buckets[at];
  if (bound === Infinity) return low * 1000;
  return 1000 * (low + (bound - low) * (all * share - under) / Math.max(below - under, 1e-9));
}

// Rankings a second of the last minute.
const past = [];

function spark() {
  const most = Math.max(...past, 1);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", "0 0 90 16");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  line.setAttribute("points", past.map((value, at) => `${at * 3},${15 - 14 * value / most}`).join(" "));
  svg.append(line);
  return svg;
}

let before = null;

async function look() {
  let now;
  try {
    now = { at: performance.now(), all: samples(await text("/metrics")) };
  } catch (refusal) {
    $("live").replaceChildren(fact("Metrics", refusal.lines?.[0] ?? "not available"));
    before = null;
    return;
  }
  if (before) {
    const seconds = (now.at - before.at) / 1000;
    const grown = (name, wanted) => sum(now.all, name, wanted) - sum(before.all, name, wanted);
    const a_second = grown("plugrank_http_requests_total", RANK) / seconds;
    past.push(a_second);
    if (past.length > 30) past.shift();
    const rows = grown("plugrank_ranked_rows_total");
    // Rungs since the start, so that something is there to see between two clicks.
    const rungs = [...by(now.all, "plugrank_answers_total", "rung")].filter(([, count]) => count > 0);
    const since = grown("plugrank_http_requests_total", RANK) > 0 ? before.all : [];
    $("live").replaceChildren(
      el("div", {}, el("dt", {}, "Rankings a second"), el("dd", {}, a_second.toFixed(1)), spark()),
      fact("In flight", String(sum(now.all, "plugrank_rank_in_flight"))),
      fact("p50", ms(quantile(now.all, since, 0.5))), fact("p99", ms(quantile(now.all, since, 0.99))),
      fact("Rows from memory", rows > 0 ? rate(grown("plugrank_ranked_rows_total", { origin: "memory" }) / rows)
        : rate(sum(now.all, "plugrank_ranked_rows_total", { origin: "memory" }) / Math.max(1, sum(now.all, "plugrank_ranked_rows_total")))),
      fact("Answers by rung", rungs.map(([rung, count]) => `${words(rung)} ${count}`).join(", ") || "none yet"));
  }
  before = now;
}

// Looks while the page is in sight.
export function watch() {
  const again = async () => {
    if (!document.hidden) await look();
    setTimeout(again, before ? EVERY_MS : 500);
  };
  again();
}

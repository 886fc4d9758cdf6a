// What came of the server's experiments so far, with intervals over time.
import { $, el, rate } from "./page.js";
import { ask } from "./server.js";

const EVERY_MS = 10_000;
const WIDTH = 320, HEIGHT = 120, EDGE = 4;
// Experiment to the metric that its chart shows.
const chosen = new Map();
let all = [];

const signed = lift => (lift > 0 ? "+" : "") + rate(lift);
const moment = at => new Date(at).toLocaleString([], { dateStyle: "short", timeStyle: "short" });

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// The lift of one arm with its interval at each look.
function course(looks, metric, arm) {
  const points = looks.flatMap(look => {
    const found = look.lifts.find(one => one.metric === metric && one.arm === arm);
    return found?.interval ? [{ at: look.at, lift: found.lift, ...found.interval }] : [];
  });
  return points;
}

// A line within the band of its intervals. The first looks' intervals are wider than is worth showing.
function chart(points, words) {
  const last = points.at(-1);
  const reach = Math.max(...[last.low, last.high, last.lift].map(Math.abs), 0.01) * 1.6;
  const [from, to] = [points[0].at, Math.max(last.at, points[0].at + 1)];
  const x = at => EDGE + (WIDTH - 2 * EDGE) * (at - from) / (to - from);
  const y = lift => HEIGHT / 2 - (HEIGHT / 2 - EDGE) * Math.max(-1, Math.min(1, lift / reach));
  const at = (point, value) => `${x(point.at).toFixed(1)},${y(value).toFixed(1)}`;
  const band = [...points.map(point => at(point, point.high)), ...points.toReversed().map(point => at(point, point.low))];
  return svg("svg", { class: "course", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words },
    svg("polygon", { points: band.join(" ") }),
    svg("line", { x1: EDGE, x2: WIDTH - EDGE, y1: y(0), y2: y(0) }),
    svg("polyline", { points: points.map(point => at(point, point.lift)).join(" ") }),
    svg("circle", { cx: x(last.at), cy: y(last.lift), r: 3 }));
}

function verdict(point) {
  if (!point) return "not known yet";
  if (point.low > 0) return "better";
  return point.high < 0 ? "worse" : "no difference shown yet";
}

function told(experiment, results) {
  const metrics = [...new Set(results.metrics.map(one => one.metric))];
  const counted = results.arms.map(arm => `${arm.name}: ${arm.units} units, ${arm.exposures.toFixed(0)} lists`).join(" · ");
  const under = el("p", { class: "under" }, `${results.days.toFixed(1)} days. ${counted}`);
  if (results.hidden) return [under, el("p", { class: "under", role: "status" }, `No lift is shown: ${results.hidden}`)];
  if (metrics.length === 0) return [under, el("p", { class: "empty" }, "Too few users so far to say anything.")];
  const metric = metrics.includes(chosen.get(experiment)) ? chosen.get(experiment) : metrics[0];
  const select = el("select", { "data-experiment": experiment, onchange: event => { chosen.set(experiment, event.target.value); look(experiment); } },
    ...metrics.map(name => el("option", { value: name, selected: name === metric }, name)));
  const arms = results.arms.map(arm => arm.name).filter(name => name !== results.control);
  const rows = arms.map(arm => {
    const points = course(results.over_time, metric, arm);
    const now = points.at(-1);
    const interval = now ? `${signed(now.low)} to ${signed(now.high)}` : "-";
    const words = `Lift of ${arm} over ${results.control} in ${metric}, from ${points.length ? moment(points[0].at) : "the start"} on: now ${now ? signed(now.lift) : "not known"}, ${interval}`;
    return el("figure", { class: "arm" },
      points.length > 1 ? chart(points, words) : el("p", { class: "empty" }, "One look so far."),
      el("figcaption", {}, el("b", {}, arm), ` ${now ? signed(now.lift) : "-"} (${interval}) against ${results.control}: ${verdict(now)}`));
  });
  return [under, el("label", {}, "Metric ", select), ...rows,
    el("p", { class: "under" }, "Intervals that stay valid however often one looks; the whole of it: plugrank experiment " + experiment + ".")];
}

async function one(experiment) {
  try {
    return told(experiment.name, await ask("GET", `/v1/experiments/${encodeURIComponent(experiment.name)}/results`));
  } catch (refusal) {
    return [el("p", { class: "under", role: "status" }, [refusal.title, ...(refusal.lines ?? [])].join(". "))];
  }
}

// Reads and shows them all. `focused`: the experiment whose metric was just chosen.
async function look(focused) {
  const parts = await Promise.all(all.map(one));
  // A list that is open stays so, with the focus in it.
  if (!focused && $("experiments").contains(document.activeElement)) return;
  $("experiments").replaceChildren(...all.map((experiment, at) => el("div", {}, el("h3", {}, experiment.name),
    el("p", { class: "under" }, Object.entries(experiment.shares).map(([arm, share]) => `${arm}: ${rate(share)}`).join(", ")),
    ...parts[at])));
  if (focused) $("experiments").querySelector(`select[data-experiment="${CSS.escape(focused)}"]`)?.focus();
}

// Shows these, and looks again while the page is in sight.
export function experiments(found) {
  all = found;
  $("experimentpanel").hidden = all.length === 0;
  if (all.length === 0) return;
  const again = async () => {
    if (!document.hidden) await look();
    setTimeout(again, EVERY_MS);
  };
  again();
}

// One answer: its list with what moved, why an item is there, and where the time went.
import { $, el, ms, percent, rate, shown, words } from "./page.js";
import { ask } from "./server.js";
import { suggest } from "./question.js";

// Places before, by side.
const before = new Map();
export const forgetPlaces = () => before.clear();

// `side`: which column; `told`: how it was answered; `record`: what a click does. Gives the column and how
// many items moved or came in.
export function column(side, told, reply, asked, record, entered) {
  const earlier = before.get(side);
  before.set(side, new Map(reply.items.map(item => [item.item_id, item.rank])));
  const top = Math.max(...reply.items.map(item => item.ctr ?? 0), 1e-9);
  const placed = new Map((reply.explain?.placements ?? []).map(one => [one.item_id, one.placement]));
  let moved = 0, came = 0;
  const rows = reply.items.map(item => {
    const was = earlier?.get(item.item_id);
    const up = was === undefined ? 0 : was - item.rank;
    if (earlier && was === undefined) came += 1;
    if (up) moved += 1;
    const move = !earlier ? null
      : was === undefined ? el("span", { class: "move new" }, "new")
      : up > 0 ? el("span", { class: "move up" }, `▲ ${up}`, spoken("places up"))
      : up < 0 ? el("span", { class: "move down" }, `▼ ${-up}`, spoken("places down")) : null;
    return row(item, move, top, placed.get(item.item_id), reply, asked, record, item.item_id === entered);
  });
  const low = reply.rung !== "full";
  const node = el("article", { class: "side", "aria-label": told },
    el("div", { class: "head" }, el("h3", {}, told), el("span", { class: low ? "chip low" : "chip" }, words(reply.rung)),
      el("span", { class: "figures" }, `${ms(reply.budget.spent_ms)} of ${ms(reply.budget.total_ms)}, ` +
        `${reply.coverage.scored} of ${reply.coverage.candidates} candidates scored`)),
    waterfall(reply),
    rows.length ? el("ol", { class: "items" }, ...rows) : el("p", { class: "empty" }, reply.note ?? "No items."));
  return { node, moved, came };
}

const spoken = text => el("span", { class: "skip" }, " " + text);

function row(item, move, top, placement, reply, asked, record, entered) {
  const { pic, title, under, about } = shown(item.item_id);
  const chance = item.ctr === null ? "not scored" : `${rate(item.ctr)} click chance`;
  const why = el("div", { class: "why", hidden: true });
  const more = el("button", { type: "button", "aria-expanded": "false", onclick: () => {
    why.hidden = !why.hidden;
    more.setAttribute("aria-expanded", String(!why.hidden));
    if (!why.hidden && !why.childElementCount) explain(why, item, placement, asked);
  } }, "Why");
  const click = el("button", { type: "button", onclick: () => record(item, reply, asked, click) }, "Click");
  about.then(known => {
    const name = known?.title || item.item_id;
    click.setAttribute("aria-label", `Click: ${name}`);
    more.setAttribute("aria-label", `Why: ${name}`);
    if (known) suggest(known);
  });
  const bar = item.ctr === null ? null
    : el("div", { class: "bar", "aria-hidden": "true" }, el("i", { style: { width: percent(item.ctr, top) } }));
  return el("li", { class: entered ? "entered" : "" , "data-item": item.item_id },
    el("div", { class: "row" }, el("div", { class: "place" }, String(item.rank), move), pic,
      el("div", {}, title, under, el("p", { class: "under" }, chance), bar),
      el("div", { class: "actions" }, more, click)),
    why);
}

const RULES = { ranked: "by its score", explored: "kept free for fresh items, to learn about them",
  cap_relaxed: "although its category has many places: there were no others" };

async function explain(box, item, placement, asked) {
  const lines = [["Named by", item.sources.map(words).join(", ") || "nobody"],
    ["Place given", RULES[placement] ?? words(placement ?? "unknown")],
    ["Score", item.score === null ? "none: the order is retrieval's" : item.score.toFixed(4)]];
  for (const [task, chance] of Object.entries(item.scores ?? {})) lines.push([`Chance of ${words(task)}`, rate(chance)]);
  box.replaceChildren(el("dl", {}, ...lines.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)])));
  const one = { user_id: asked.user_id, candidates: [item.item_id], k: 1, context: asked.context, model: asked.model };
  const chance = async rung => (await ask("POST", "/v1/rank", { ...one, rung })).items[0]?.ctr ?? null;
  const told = text => text === null ? "not scored" : rate(text);
  try {
    const [with_, without] = await Promise.all([chance(undefined), chance("idrec")]);
    const list = box.querySelector("dl");
    list.append(el("dt", {}, "Click chance with PPM"), el("dd", {}, told(with_)),
      el("dt", {}, "without PPM"), el("dd", {}, told(without)));
  } catch (refusal) {
    box.append(el("p", { class: "under" }, refusal.lines?.join(" ") ?? String(refusal)));
  }
}

function waterfall(reply) {
  const { budget } = reply;
  const total = Math.max(budget.total_ms, budget.spent_ms);
  const rungs = new Map(reply.degraded.map(one => [one.stage, one]));
  let at = 0;
  const lanes = budget.stages.map(stage => {
    const ran = stage.outcome !== "skipped";
    const track = el("div", { class: "track" });
    if (ran) track.append(
      el("div", { class: "given", style: { left: percent(at, total), width: percent(Math.min(stage.allotted_ms, total - at), total) } }),
      el("div", { class: "used", style: { left: percent(at, total), width: percent(stage.spent_ms, total) } }));
    at += stage.spent_ms;
    const below = rungs.get(stage.stage);
    const how = !ran ? "skipped" : stage.outcome === "completed" ? below ? words(below.rung) : "full" : stage.outcome;
    return el("div", { class: `lane ${stage.stage}` }, el("div", {}, stage.stage), track,
      el("div", { class: `figures ${stage.outcome}` }, ...(ran ? [el("b", {}, ms(stage.spent_ms)), ` of ${ms(stage.allotted_ms)}, `] : []), how));
  });
  return el("div", { role: "group", "aria-label": "Where the time went; dashed is what a stage was allotted" }, ...lanes);
}

const SHOWN = 60;

// What filters took out of an answer.
export function leftOut(reply) {
  const dropped = reply.explain?.dropped ?? [];
  $("left").hidden = dropped.length === 0;
  $("droppedcount").textContent = dropped.length === 1 ? "Show the item" : `Show the ${dropped.length} items`;
  $("dropped").replaceChildren(...dropped.slice(0, SHOWN).map(one => el("li", {}, `${one.item_id}: ${words(one.reason)}`)),
    ...(dropped.length > SHOWN ? [el("li", {}, `and ${dropped.length - SHOWN} more`)] : []));
}

// What the form asks for.
import { $, el } from "./page.js";
import { ask } from "./server.js";

export const form = $("form");
export const value = name => form.elements[name].value.trim();
const ids = text => text.split(/[\s,]+/).filter(Boolean);
// What is no number is sent as it is, so that the server says what is wrong with it.
const number = text => text === "" ? undefined : Number.isFinite(Number(text)) ? Number(text) : text;

// Ways to answer; more come with the models and experiments of the server.
const WAYS = [["", "as served"], ["rung:idrec", "the ID-based model alone, without PPM"],
  ["rung:ctr_order", "the model's order, without rules"], ["rung:retrieval_order", "retrieval alone, nothing scored"]];
export const way = name => form.elements[name].selectedOptions[0]?.textContent ?? "";

export function question(side) {
  const asked = { user_id: value("user_id"), k: number(value("k")), budget_ms: number(value("budget_ms")), explain: true };
  const diversity = number(value("diversity"));
  if (diversity !== undefined) asked.diversity = diversity;
  if (ids(value("candidates")).length) asked.candidates = ids(value("candidates"));
  if (ids(value("exclude")).length) asked.exclude = ids(value("exclude"));
  if (value("timestamp")) asked.context = { timestamp: number(value("timestamp")) };
  const must = [...$("filters").children].map(condition).filter(Boolean);
  if (must.length) asked.filter = { must };
  const [kind, ...rest] = value(side).split(":");
  const what = rest.join(":");
  if (kind === "rung") asked.rung = what;
  if (kind === "model") asked.model = what;
  if (kind === "arm") asked.arms = Object.fromEntries([what.split("=")]);
  return asked;
}

function condition(row) {
  const [field, how, what] = [...row.querySelectorAll("input, select")].map(input => input.value.trim());
  if (!field || !what) return null;
  if (how === "any") return { field, any: what.split(",").map(one => one.trim()).filter(Boolean) };
  return { field, [how]: number(what) };
}

export function addFilter() {
  const row = el("div", { class: "filter", role: "group", "aria-label": "Filter" },
    el("input", { "aria-label": "Column", list: "columns", placeholder: "column" }),
    el("select", { "aria-label": "Condition" }, el("option", { value: "any" }, "is one of"),
      el("option", { value: "gte" }, "is at least"), el("option", { value: "lte" }, "is at most")),
    el("input", { "aria-label": "Value", placeholder: "value" }),
    el("button", { type: "button", onclick: () => { row.remove(); $("addfilter").focus(); } }, "Remove"));
  $("filters").append(row);
  row.querySelector("input").focus();
}

// Columns and categories that items shown so far have, as suggestions.
const suggested = new Set(["categories", "created_at", "item_id"]);
export function suggest(about) {
  for (const name of Object.keys(about.features)) offer("columns", name);
  for (const name of about.categories) offer("categories", name);
}
function offer(list, name) {
  const known = `${list} ${name}`;
  if (suggested.has(known) || suggested.has(name)) return;
  suggested.add(known);
  $(list).append(el("option", { value: name }));
}

export async function fillShoppers(chosen) {
  const select = form.elements.shopper;
  const { shoppers } = await ask("GET", "/playground/shoppers").catch(() => ({ shoppers: [] }));
  const options = shoppers.map(one => el("option", { value: one.user_id },
    `${one.taste.join(", ") || "mixed taste"} (${one.user_id}, ${one.clicks} clicks)`));
  select.replaceChildren(...options, el("option", { value: "somebody-new" }, "somebody new, nothing clicked"),
    el("option", { value: "" }, "another id"));
  const known = [...select.options].some(option => option.value === chosen);
  select.value = chosen && !known ? "" : chosen || shoppers[0]?.user_id || "";
  follow();
}

// The id is shown where it is not chosen from the list.
export function follow() {
  const chosen = form.elements.shopper.value;
  $("other").hidden = chosen !== "";
  if (chosen) form.elements.user_id.value = chosen;
}

export async function fillWays(right) {
  const [models, experiments] = await Promise.all([
    ask("GET", "/v1/models").catch(() => ({ models: [] })), ask("GET", "/v1/experiments").catch(() => ({ experiments: [] }))]);
  const ways = [...WAYS,
    ...models.models.filter(model => model.state === "ready").map(model => [`model:${model.version}`, `model ${model.version}`]),
    ...experiments.experiments.flatMap(one => Object.keys(one.shares).map(arm => [`arm:${one.name}=${arm}`, `experiment ${one.name}, arm ${arm}`]))];
  const options = () => ways.map(([name, told]) => el("option", { value: name }, told));
  form.elements.left.replaceChildren(...options());
  form.elements.right.replaceChildren(el("option", { value: "none" }, "nothing"), ...options());
  form.elements.right.value = right ?? "rung:idrec";
  return experiments.experiments;
}

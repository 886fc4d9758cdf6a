// Wires the page: asks, shows, records clicks.
import { $, el, note, say, shown, silence, when, words } from "./page.js";
import { ask, useKey } from "./server.js";
import { addFilter, fillShoppers, fillWays, follow, form, question, value, way } from "./question.js";
import { column, forgetPlaces, leftOut } from "./ranking.js";
import { experiments } from "./experiments.js";
import { entered, standing, take, write } from "./item.js";
import { watch } from "./live.js";

let turn = 0;
// The item that was added last.
let added = null;
let lastUser = null;

const LABELS = { user_id: "User id", k: "Items", budget_ms: "Budget", timestamp: "As of", candidates: "Candidates", exclude: "Leave out",
  diversity: "Diversity", filter: "Filters" };

function refuse(refusal) {
  const lines = (refusal.lines ?? [String(refusal.message)]).map(line => {
    const name = /^(?:context\.)?([a-z_]+)/.exec(line)?.[1];
    return LABELS[name] ? line.replace(/^(?:context\.)?[a-z_]+/, LABELS[name] + ":") : line;
  });
  note("bad", refusal.title ?? "Something went wrong on this page", lines);
  const field = String(refusal.field ?? "").replace(/[[/].*/, "").replace("context.", "");
  const input = field && form.elements[field];
  if (!input) return;
  input.closest("details")?.setAttribute("open", "");
  if (field === "user_id") form.elements.shopper.value = "";
  $("other").hidden = form.elements.shopper.value !== "";
  input.setAttribute("aria-invalid", "true");
  input.focus();
}

async function rank(said = "") {
  const mine = ++turn;
  $("go").setAttribute("aria-disabled", "true");
  for (const field of form.elements) field.removeAttribute("aria-invalid");
  useKey(value("key"));
  try {
    if (value("user_id") !== lastUser) forgetPlaces();
    const sides = value("right") === "none" ? ["left"] : ["left", "right"];
    const asked = sides.map(question);
    remember();
    const replies = await Promise.all(asked.map(one => ask("POST", "/v1/rank", one)));
    if (mine !== turn) return;
    lastUser = asked[0].user_id;
    show(sides, asked, replies, said);
    await past(lastUser);
  } catch (refusal) {
    if (mine === turn) refuse(refusal);
  } finally {
    if (mine === turn) $("go").removeAttribute("aria-disabled");
  }
}

function show(sides, asked, replies, said) {
  const meant = new Set(["asked", "experiment", "pinned"]);
  const lost = replies.flatMap(reply => reply.degraded.filter(one => !meant.has(one.cause)));
  if (lost.length) note("", "The answer is less than it could be",
    lost.map(one => `${one.stage} ${one.cause}, so ${words(one.rung)}: ${one.detail}`));
  else silence();
  const columns = sides.map((side, at) => column(side, way(side), replies[at], asked[at], record, added?.id));
  $("sides").replaceChildren(...columns.map(one => one.node));
  leftOut(replies[0]);
  $("raw").textContent = JSON.stringify(replies.length > 1 ? replies : replies[0], null, 2);
  const { moved, came } = columns[0];
  say(said && `${said} ${moved} moved, ${came} came in.`);
}

async function record(item, reply, asked, button) {
  button.setAttribute("aria-disabled", "true");
  const event = { event_id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, type: "click", user_id: asked.user_id,
    item_id: item.item_id, request_id: reply.request_id, position: item.rank };
  try {
    await ask("POST", "/v1/events", { events: [event] });
    await rank(`Recorded a click on ${button.getAttribute("aria-label")?.slice(7) ?? item.item_id}.`);
    $("answer").focus();
  } catch (refusal) {
    refuse(refusal);
  }
}

async function past(user) {
  const box = $("past");
  try {
    const about = await ask("GET", `/v1/users/${encodeURIComponent(user)}?clicks=8&impressions=0`);
    const features = Object.entries(about.features).map(([name, text]) => `${words(name)}: ${text}`).join(", ");
    const rows = about.history.map(entry => {
      const { pic, title } = shown(entry.item_id);
      return el("li", {}, pic, el("div", {}, title, el("p", { class: "under" }, when(entry.timestamp))));
    });
    box.replaceChildren(features ? el("p", { class: "under" }, features) : "",
      rows.length ? el("ul", { class: "past" }, ...rows) : el("p", { class: "empty" }, "No clicks yet."));
  } catch (refusal) {
    const text = refusal.lines?.join(" ") ?? String(refusal);
    box.replaceChildren(el("p", { class: "empty" }, text.includes("nothing is known") ? "Nothing is known about this shopper: click something." : text));
  }
}

async function addItem(event) {
  event.preventDefault();
  const fields = $("item").elements;
  fields.title.removeAttribute("aria-invalid");
  $("add").setAttribute("aria-disabled", "true");
  try {
    added = await write($("item"));
    const place = await standing(added.id, question("left"));
    await rank();
    entered(added.title, place, Number(value("k")) || 0);
    $("remove").hidden = false;
  } catch (refusal) {
    refuse(refusal);
    if (refusal.field === "title") {
      fields.title.setAttribute("aria-invalid", "true");
      fields.title.focus();
    }
  } finally {
    $("add").removeAttribute("aria-disabled");
  }
}

async function removeItem() {
  try {
    await take(added.id);
    $("entered").replaceChildren(el("p", { class: "under", role: "status" }, `“${added.title}” is gone.`));
    added = null;
    $("remove").hidden = true;
    $("add").focus();
    await rank();
  } catch (refusal) {
    refuse(refusal);
  }
}

function remember() {
  const state = new URLSearchParams({ user: value("user_id"), k: value("k"), beside: value("right") });
  history.replaceState(null, "", "#" + state);
}

form.addEventListener("submit", event => { event.preventDefault(); rank(); });
form.elements.shopper.addEventListener("change", () => { follow(); if (form.elements.shopper.value) rank(); else form.elements.user_id.select(); });
for (const name of ["left", "right", "diversity"]) form.elements[name].addEventListener("change", () => { if (name !== "diversity") forgetPlaces(); rank(); });
$("addfilter").addEventListener("click", addFilter);
$("item").addEventListener("submit", addItem);
$("remove").addEventListener("click", removeItem);
document.addEventListener("keydown", event => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form !== $("item")) rank();
  else if (event.key === "/" && !typing) { event.preventDefault(); form.elements.shopper.focus(); }
});
const state = new URLSearchParams(location.hash.slice(1));
if (state.get("user")) form.elements.user_id.value = state.get("user");
if (state.get("k")) form.elements.k.value = state.get("k");
const [all] = await Promise.all([fillWays(state.get("beside")), fillShoppers(state.get("user") ?? "")]);
experiments(all);
await rank();
watch();

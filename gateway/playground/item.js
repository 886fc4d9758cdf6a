// A new item: written, and looked for in the ranking.
import { $, el } from "./page.js";
import { ask, forget } from "./server.js";

// Pictures are made no larger than this.
const SIDE = 512;

// A picture as base64, as a PNG whatever it was; undefined without one.
async function picture(file) {
  if (!file) return undefined;
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw Object.assign(new Error("picture"), { title: "The item was not added", lines: [`${file.name} is no picture that this browser can read.`] });
  }
  const shrink = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = el("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * shrink));
  canvas.height = Math.max(1, Math.round(bitmap.height * shrink));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/png").split(",")[1];
}

const listed = text => text.split(",").map(one => one.trim()).filter(Boolean);

// Writes the item of the form; gives its id and title.
export async function write(form) {
  const field = name => form.elements[name].value.trim();
  if (!field("title")) {
    throw Object.assign(new Error("title"), { title: "The item was not added", lines: ["Title: give it a name."], field: "title" });
  }
  const features = Object.fromEntries(listed(field("features")).map(one => {
    const [name, ...rest] = one.split("=");
    const text = rest.join("=").trim();
    return [name.trim(), text !== "" && Number.isFinite(Number(text)) ? Number(text) : text];
  }));
  const id = "try-" + Math.random().toString(36).slice(2, 8);
  const content = { title: field("title"), text: field("text"), categories: listed(field("categories")), features,
    image: await picture(form.elements.picture.files[0]) };
  await ask("PUT", `/v1/items/${id}`, content);
  forget(id);
  return { id, title: content.title };
}

export async function take(id) {
  await ask("DELETE", `/v1/items/${id}`);
  forget(id);
}

// Where the item stands in a long list of the shopper's.
export async function standing(id, asked) {
  const reply = await ask("POST", "/v1/rank", { ...asked, candidates: undefined, k: 500, explain: false });
  const found = reply.items.find(item => item.item_id === id);
  return { found, of: reply.items.length };
}

export function entered(title, { found, of }, shownPlaces) {
  const text = !found ? `“${title}” is in the catalog; it was no candidate for this shopper among ${of}.`
    : found.rank <= shownPlaces ? `“${title}” entered at place ${found.rank} of ${of}; it is marked in the ranking.`
    : `“${title}” entered at place ${found.rank} of ${of}, named by ${found.sources.join(", ").replaceAll("_", " ")}.`;
  $("entered").replaceChildren(el("p", { class: "under", role: "status" }, text));
}

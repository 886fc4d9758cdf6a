// What all parts of the page are made of.
import { item, picture } from "./server.js";

export const $ = id => document.getElementById(id);

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "style") for (const [key, text] of Object.entries(value)) node.style.setProperty(key, text);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}

export const ms = value => value === null ? "-" : value.toFixed(value < 10 ? 2 : 1) + " ms";
export const percent = (part, whole) => Math.min(100, Math.max(0, 100 * part / whole)) + "%";
export const words = text => text.replaceAll("_", " ");
export const rate = share => (100 * share).toFixed(share < 0.1 ? 2 : 1) + "%";
export const fact = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
// Small numbers are positions in a sequence and no dates.
export const when = timestamp => timestamp < 1e10 ? String(timestamp) : new Date(timestamp).toLocaleDateString();

// An item's picture, title and what is under it; filled in once the catalog answers.
export function shown(id) {
  const pic = el("div", { class: "pic", "aria-hidden": "true" }, "·");
  const title = el("div", { class: "title" }, id);
  const under = el("p", { class: "under" }, id);
  const node = { pic, title, under };
  node.about = item(id).then(about => {
    if (!about) return null;
    title.textContent = about.title || id;
    under.textContent = [id, ...about.categories.slice(0, 2)].join(" · ");
    pic.textContent = (about.title || "·").slice(0, 1).toUpperCase();
    if (about.has_image) picture(id).then(address => {
      const image = el("img", { class: "pic", alt: "", src: address });
      image.addEventListener("load", () => pic.replaceWith(image), { once: true });
    });
    return about;
  });
  return node;
}

// What went wrong, or is less than it could be, at the head of the page.
export function note(kind, title, lines) {
  const box = $("note");
  box.className = "note " + kind;
  box.replaceChildren(el("b", {}, title), el("ul", {}, ...lines.map(line => el("li", {}, line))));
  box.hidden = false;
}
export const silence = () => { $("note").hidden = true; };
export const say = text => { $("said").textContent = text; };

// Asks the server, and says in words for people what went wrong.

// What a request came to when it was refused: a title, a line for each thing that is wrong, and the field.
export class Refusal extends Error {
  constructor(title, lines, field) {
    super(title);
    this.title = title;
    this.lines = lines;
    this.field = field;
  }
}

let key = "";
export const useKey = text => { key = text.trim(); };
const headers = () => key ? { authorization: `Bearer ${key}` } : {};

async function fetched(path, options) {
  try {
    return await fetch(path, { ...options, headers: { ...headers(), ...options.headers } });
  } catch {
    throw new Refusal("The server does not answer", ["Is it still running? Nothing was changed; try again in a moment."]);
  }
}

// The answer's JSON; undefined for one without a body.
export async function ask(method, path, body) {
  const sent = body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetched(path, { method, ...sent });
  if (response.status === 204) return undefined;
  let said = null;
  try { said = await response.json(); } catch { /* An answer that is no JSON tells nothing more than its status. */ }
  if (response.ok && said !== null) return said;
  throw refusal(response, said ?? {});
}

export async function text(path) {
  const response = await fetched(path, {});
  if (!response.ok) throw refusal(response, {});
  return response.text();
}

function refusal(response, problem) {
  const { status } = response;
  if (status === 401 || status === 403) {
    return new Refusal("This server asks for a key", [problem.detail ?? "Its key may not do this.", "Enter another one under More."], "key");
  }
  const lines = problem.errors?.length
    ? problem.errors.map(error => `${error.field ?? error.pointer ?? ""} ${error.detail}`.trim())
    : [problem.detail ?? `It answered with status ${status}.`];
  const wait = response.headers.get("retry-after");
  if (wait) lines.push(`Try again in ${wait} s.`);
  return new Refusal(problem.title ?? "The server could not answer", lines, problem.field ?? problem.errors?.[0]?.field);
}

const items = new Map();
export const forget = id => items.delete(id);

// What the catalog has of an item; null where it has none.
export function item(id) {
  if (!items.has(id)) items.set(id, ask("GET", `/v1/items/${encodeURIComponent(id)}`).catch(() => null));
  return items.get(id);
}

// Address of an item's picture.
export async function picture(id) {
  const path = `/v1/items/${encodeURIComponent(id)}/image`;
  if (!key) return path;
  const response = await fetched(path, {});
  return URL.createObjectURL(await response.blob());
}

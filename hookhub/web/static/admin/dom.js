// Making elements. Whatever comes from the hub goes in as text, never as markup: payloads and
// answers of receivers are written by strangers.

/** An element with attributes (`onclick` and the like are listeners) and children. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const byId = (id) => document.getElementById(id);

// Control characters, and those that turn the direction of writing: they could make a text look
// like another one.
const SLY = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** The text with its invisible characters made visible. */
export function printable(text) {
  return text.replace(SLY, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
}

/** A JSON value for reading. */
export const pretty = (value) => printable(JSON.stringify(value, null, 2));

/** A payload on one line: what it says, without what is null, cut where no screen is wider. */
export function summary(payload, limit = 400) {
  let text = "";
  for (const [name, value] of Object.entries(payload)) {
    if (value === null) continue;
    text += `${text && ", "}${name}: ${JSON.stringify(value)}`;
    if (text.length > limit) return printable(text.slice(0, limit) + "…");
  }
  return printable(text);
}

/** A definition list's rows; what is null is left out. */
export function facts(pairs) {
  return pairs
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]);
}

/**
 * Make a parent's children those of `items`, keeping the nodes of items that stay: focus and what
 * a person has opened survive.
 */
export function keyed(parent, items, keyOf, make) {
  const old = parent.keyedNodes ?? new Map();
  const now = new Map();
  let place = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    const entry = old.get(key) ?? make(item);
    old.delete(key);
    now.set(key, entry);
    entry.update(item);
    if (entry.node === place) place = place.nextSibling;
    else parent.insertBefore(entry.node, place);
  }
  for (const { node } of old.values()) node.remove();
  parent.keyedNodes = now;
}

// The event types that the hub knows; asked for once in a session.

import { html, useEffect, useState } from "../vendor/preact/preact-htm.js";

/** The types as `GET /event-types` has them; empty until they are here. */
export function useEventTypes(session) {
  const [types, setTypes] = useState(session.types ?? []);
  useEffect(() => {
    if (session.types || !session.can["events:read"]) return undefined;
    let wanted = true;
    session.api.get("event-types").then(
      ({ items }) => {
        session.types = items;
        if (wanted) setTypes(items);
      },
      () => {}, // only suggestions
    );
    return () => (wanted = false);
  }, [session]);
  return types;
}

/** Patterns that match at least one type: `user.*`, then the types themselves. */
export function patternsOf(types) {
  const names = types.map((type) => type.name);
  const groups = new Set(names.map((name) => `${name.slice(0, name.lastIndexOf("."))}.*`));
  return [...groups, ...names];
}

/** Whether events of a type are among those that a pattern wants; `*` has none of the hub's own. */
export const matches = (pattern, name) =>
  pattern === "*" ? !/^(delivery|webhook)\./.test(name) : pattern === name || (pattern.endsWith(".*") && name.startsWith(pattern.slice(0, -1)));

export function EventTypesOf({ session, id }) {
  const types = useEventTypes(session);
  return html`<datalist id=${id}>${patternsOf(types).map((value) => html`<option value=${value} />`)}</datalist>`;
}

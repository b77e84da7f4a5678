// Places in the history, and patterns of event types.

const PATTERN = /^(\*|[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*(\.\*)?)$/;

// Nobody else takes a cursor apart. This file comes from the hub that made the cursor, and tabs
// that share a connection must know which of two places is the earlier one.
export function place(cursor) {
  const found = /^([a-z0-9]{4,32})-([0-9a-f]{1,16})$/.exec(cursor ?? "");
  return found && { epoch: found[1], sequence: Number.parseInt(found[2], 16), cursor };
}

export const isBefore = (one, other) => one.epoch === other.epoch && one.sequence < other.sequence;

/** A predicate of types; `*` means events of the history, not what is told only once. */
export function matcher(patterns) {
  if (patterns.includes("*")) {
    const special = matcher(patterns.filter((pattern) => pattern !== "*"));
    return (type, ephemeral) => !ephemeral || special(type);
  }
  const exact = new Set(patterns);
  const starts = patterns.filter((item) => item.endsWith(".*")).map((item) => item.slice(0, -1));
  return (type) => exact.has(type) || starts.some((start) => type.startsWith(start));
}

export function checked(patterns) {
  const list = [patterns].flat();
  for (const pattern of list) {
    if (typeof pattern === "string" && PATTERN.test(pattern)) continue;
    throw new TypeError(`${JSON.stringify(pattern)} is no event type pattern such as "user.*"`);
  }
  return list;
}

// Texts of payloads, and of what is copied. Whatever comes from the hub is shown as text, never as
// markup: payloads and answers of receivers are written by strangers.

// Control characters, and those that turn the direction of writing: they could make a text look
// like another one.
const SLY = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** The text with its invisible characters made visible. */
export function printable(text) {
  return String(text).replace(SLY, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
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

const TONES = 6;

/** The colour of a type: one for each family (`user.*`), always the same. */
export function toneOf(type) {
  let tone = 0;
  for (const c of type.split(".")[0]) tone = (tone * 36 + c.charCodeAt(0)) % 997;
  return tone % TONES;
}

const byCodePoint = ([one], [other]) => {
  const [a, b] = [Array.from(one), Array.from(other)];
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a[i] !== b[i]) return a[i].codePointAt(0) - b[i].codePointAt(0);
  }
  return a.length - b.length;
};

const ascii = (text) =>
  JSON.stringify(text).replace(/[\u007f-\uffff]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));

/** As Python's `json.dumps(value, sort_keys=True)` writes it: the body of a webhook. */
export function pythonJson(value) {
  if (JSON.isRawJSON?.(value)) return value.rawJSON;
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(", ")}]`;
  if (typeof value === "string") return ascii(value);
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.entries(value).sort(byCodePoint);
  return `{${members.map(([name, item]) => `${ascii(name)}: ${pythonJson(item)}`).join(", ")}}`;
}

export const shellQuoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// Linux takes 128 KiB as one argument of a program; what the shell itself prints is not limited.
const ARGUMENT = 100_000;

/** A command for a terminal that makes the same request. */
export function curl(method, url, headers, body) {
  const long = body?.length > ARGUMENT;
  // curl takes brackets and braces of an address for several addresses.
  const globs = /[[\]{}]/.test(url) ? "-g " : "";
  const lines = [`${long ? `printf %s ${shellQuoted(body)} | ` : ""}curl ${globs}-X ${method} ${shellQuoted(url)}`];
  // With a colon and nothing after it, curl leaves a header out.
  for (const [name, value] of headers) lines.push(`-H ${shellQuoted(value ? `${name}: ${value}` : `${name};`)}`);
  if (body !== undefined) lines.push(`--data-binary ${long ? "@-" : shellQuoted(body)}`);
  return lines.join(" \\\n  ");
}

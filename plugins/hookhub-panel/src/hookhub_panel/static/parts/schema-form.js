// A form made of the JSON Schema of a payload.

import { html } from "../vendor/preact/preact-htm.js";
import { t } from "./i18n.js";
import { Check, Choice, Field } from "./ui.js";

/**
 * The fields of a schema: `{name, kind, type, required, nullable, options, description}`, and what
 * else the example has. `kind` is the control, `type` what a person reads.
 */
export function fieldsOf(schema, example = {}) {
  const required = new Set(schema.required ?? []);
  const more = Object.keys(example).filter((name) => !schema.properties || !Object.hasOwn(schema.properties, name));
  const all = [...Object.entries(schema.properties ?? {}), ...more.map((name) => [name, {}])];
  return all.map(([name, given]) => {
    const branches = (given.anyOf ?? given.oneOf ?? [given]).map((item) => resolved(item, schema));
    const nullable = branches.some(({ type }) => type === "null");
    const one = branches.filter(({ type }) => type !== "null");
    const main = one.length === 1 ? one[0] : {};
    const options = main.enum ?? (main.const === undefined ? null : [main.const]);
    const kind = options?.every((item) => typeof item === "string") ? "enum" : KINDS[main.type] ? main.type : "json";
    const type = options?.join(" | ") ?? [...new Set(one.map((item) => item.type ?? "json"))].join(" | ");
    return { name, kind, type, required: required.has(name), nullable, options, description: given.description ?? main.description ?? "" };
  });
}

const KINDS = { string: true, integer: true, number: true, boolean: true };

function resolved(item, schema) {
  const name = item.$ref?.match(/^#\/\$defs\/(.+)$/)?.[1];
  return name ? (schema.$defs?.[name] ?? {}) : item;
}

// A box can only say yes or no: not that a member is left out, or null.
const isBox = ({ kind, required, nullable }) => kind === "boolean" && required && !nullable;

const textOf = ({ kind }, value) => {
  if (value === undefined || value === null) return "";
  return typeof value === "string" && kind !== "json" ? value : JSON.stringify(value);
};

/** The texts of a form for a payload: what is missing is empty. */
export const formOf = (fields, payload) =>
  Object.fromEntries(fields.map((field) => [field.name, isBox(field) ? payload[field.name] === true : textOf(field, payload[field.name])]));

/**
 * The payload of a form, as JSON text: numbers are sent as they were typed. Throws Error with the
 * field that cannot be.
 */
export function payloadOf(fields, form) {
  const members = [];
  for (const field of fields) {
    const text = jsonOf(field, form[field.name]);
    if (text !== null) members.push(`${JSON.stringify(field.name)}: ${text}`);
  }
  return `{${members.join(", ")}}`;
}

function jsonOf(field, value) {
  if (typeof value === "boolean") return String(value);
  const text = value ?? "";
  if (text === "") {
    if (field.required && field.kind === "string" && !field.nullable) return '""';
    return field.required ? "null" : null;
  }
  if (field.kind === "string" || field.kind === "enum") return JSON.stringify(text);
  try {
    JSON.parse(text);
    return text;
  } catch {
    throw new Error(t("form.json_field", { name: field.name }));
  }
}

export function SchemaForm({ fields, form, onChange, prefix }) {
  return fields.map((field) => {
    const id = `${prefix}-${field.name}`;
    const set = (value) => onChange({ ...form, [field.name]: value });
    const label = html`<code>${field.name}</code>${field.required ? html`<span class="quiet" title=${t("schema.required")}> *</span>` : ""}`;
    if (isBox(field)) {
      return html`<div class="control" key=${id}><${Check} id=${id} checked=${form[field.name]} onChange=${set}>${label}<//>${field.description && html`<p class="hint">${field.description}</p>`}</div>`;
    }
    return html`<${Field} key=${id} id=${id} label=${label} hint=${field.description}><${Control} id=${id} field=${field} value=${form[field.name]} set=${set} /><//>`;
  });
}

function Control({ id, field, value, set }) {
  const hint = field.description ? `${id}-hint` : null;
  const typed = (event) => set(event.currentTarget.value);
  const empty = field.nullable || !field.required ? [["", field.nullable ? "null" : "–"]] : [];
  if (field.kind === "enum") return html`<${Choice} id=${id} value=${value} options=${[...empty, ...field.options.map((item) => [item, item])]} onChange=${set} />`;
  if (field.kind === "boolean") return html`<${Choice} id=${id} value=${value} options=${[...empty, ["true", "true"], ["false", "false"]]} onChange=${set} />`;
  if (field.kind === "json") return html`<textarea id=${id} rows="3" class="mono" spellcheck="false" value=${value} onInput=${typed} aria-describedby=${hint}></textarea>`;
  const numeric = field.kind === "integer" || field.kind === "number";
  return html`<input id=${id} value=${value} onInput=${typed} inputmode=${numeric ? "decimal" : "text"} placeholder=${field.nullable ? "null" : ""} autocomplete="off" aria-describedby=${hint} />`;
}

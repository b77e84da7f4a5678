// Making and changing a webhook, with the exact request that it will get.

import { html, useEffect, useMemo, useState } from "../vendor/preact/preact-htm.js";
import { matches, patternsOf, useEventTypes } from "./catalogue.js";
import { useAction, useLoaded } from "./hooks.js";
import { t } from "./i18n.js";
import { curlOf, requestOf, signed } from "./request.js";
import { printable } from "./text.js";
import { Check, Choice, Copy, Field, Head, Json, Secrets, Trouble } from "./ui.js";

const NEW = {
  name: "", url: "", event_types: [], description: "", is_active: true, secret: "", secret_kind: "generate",
  format: "payload", filter: "", headers: "", transform: "", transform_config: "", timeout: "", retry_schedule: "",
  concurrency: "", rate_limit: "", ordered: false, ca: "",
};
const NUMBERS = ["timeout", "concurrency", "rate_limit"];

/** What the form holds of a webhook that is there. */
function formOf(webhook) {
  if (!webhook) return NEW;
  const text = (value) => (value === null || value === undefined ? "" : JSON.stringify(value));
  return {
    ...NEW,
    ...Object.fromEntries(["name", "url", "event_types", "is_active", "format", "ordered"].map((name) => [name, webhook[name]])),
    ...{ description: webhook.description ?? "", ca: webhook.ca ?? "", secret_kind: "keep" },
    ...Object.fromEntries(NUMBERS.map((name) => [name, text(webhook[name])])),
    filter: webhook.filter ? JSON.stringify(webhook.filter, null, 2) : "",
    headers: Object.entries(webhook.headers).map(([name, value]) => `${name}: ${value}`).join("\n"),
    transform: webhook.transform?.name ?? "",
    transform_config: webhook.transform ? JSON.stringify(webhook.transform.config ?? {}, null, 2) : "",
    retry_schedule: webhook.retry_schedule?.join(", ") ?? "",
  };
}

const json = (name, text) => {
  try {
    return text.trim() ? JSON.parse(text) : null;
  } catch (error) {
    throw Object.assign(new Error(t("form.json", { name, detail: error.message })), { errors: [] });
  }
};

function numberOf(name, text) {
  const value = Number(text);
  if (Number.isFinite(value)) return value;
  throw Object.assign(new Error(t("form.number", { name: t(`webhook.${name}`), text })), { errors: [] });
}

function headersOf(text) {
  const pairs = text.split("\n").filter((line) => line.trim());
  return Object.fromEntries(
    pairs.map((line) => {
      const at = line.indexOf(":");
      if (at < 1) throw Object.assign(new Error(t("form.header", { line })), { errors: [] });
      return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }),
  );
}

/** What is sent: all members, those left empty as null. Throws Error with what cannot be. */
function bodyOf(form, isNew) {
  const schedule = form.retry_schedule.split(/[,\s]+/).filter(Boolean).map((text) => numberOf("retry_schedule", text));
  const body = {
    ...Object.fromEntries(["name", "url", "event_types", "is_active", "format", "ordered"].map((name) => [name, form[name]])),
    description: form.description.trim() || null,
    filter: json(t("webhook.filter"), form.filter),
    headers: headersOf(form.headers),
    transform: form.transform ? { name: form.transform, config: json(t("webhook.transform_config"), form.transform_config) ?? {} } : null,
    retry_schedule: schedule.length ? schedule : null,
    ca: form.ca.trim() || null,
    ...Object.fromEntries(NUMBERS.map((name) => [name, form[name].trim() === "" ? null : numberOf(name, form[name].replace(",", "."))])),
  };
  if (form.secret_kind === "own") body.secret = form.secret;
  else if (form.secret_kind === "generate" && isNew) body.generate_secret = true;
  else if (form.secret_kind === "none") body.secret = null;
  return body;
}

export function WebhookForm({ session, webhook }) {
  const [form, setForm] = useState(() => formOf(webhook));
  const [made, setMade] = useState(null);
  const { run, busy, problem } = useAction();
  const isNew = !webhook;
  useEffect(() => made && document.querySelector("main h1").focus(), [made]);
  const set = (name) => (value) => setForm((before) => ({ ...before, [name]: value?.currentTarget ? value.currentTarget.value : value }));
  const submit = (event) => {
    event.preventDefault();
    run(async () => {
      const body = bodyOf(form, isNew);
      const answer = isNew ? await session.api.post("webhooks", body) : await session.api.patch(`webhooks/${webhook.id}`, body);
      const dropped = answer.dropped_headers?.join(", ");
      session.say(t(isNew ? "form.created" : dropped ? "form.dropped" : "form.saved", { name: answer.name, headers: dropped }));
      if (answer.secret) setMade(answer);
      else location.hash = `#/webhooks/${answer.id}`;
    });
  };
  if (!session.can["webhooks:write"]) return html`<${Trouble} problem=${new Error(t("webhooks.read_only"))} />`;
  if (made) {
    return html`<${Head} title=${t("form.created", { name: printable(made.name) })} /><div class="card pad"><${Secrets} webhook=${made} />
      <p><a class="button primary" id="webhook-go" href="#/webhooks/${made.id}">${t("form.go")}</a></p></div>`;
  }
  const back = isNew ? { href: "#/webhooks", text: t("webhooks.back") } : { href: `#/webhooks/${webhook.id}`, text: printable(webhook.name) };
  return html`<${Head} back=${back} title=${t(isNew ? "webhooks.new" : "form.edit")} />
    <div class="columns"><form id="webhook-form" class="card pad form" onSubmit=${submit}>
      <${Basics} form=${form} set=${set} session=${session} isNew=${isNew} webhook=${webhook} />
      <details class="plain"><summary>${t("form.body")}</summary><${BodyPart} form=${form} set=${set} session=${session} /></details>
      <details class="plain"><summary>${t("form.delivery")}</summary><${DeliveryPart} form=${form} set=${set} /></details>
      <${Trouble} problem=${problem} id="form-problem" />
      <div class="buttons wide"><button type="submit" id="webhook-save" class="primary" disabled=${busy}>${t(isNew ? "form.create" : "form.save")}</button>
        <a class="button" href=${back.href}>${t("cancel")}</a></div>
    </form>
    <${Preview} form=${form} session=${session} webhook=${webhook} /></div>`;
}

function Basics({ form, set, session, isNew, webhook }) {
  const kinds = isNew ? ["generate", "own", "none"] : ["keep", "own", ...(webhook.has_secret ? ["none"] : [])];
  return html`
    <${Field} id="wh-name" label=${t("webhook.name_field")}><input id="wh-name" required maxlength="255" value=${form.name} onInput=${set("name")} autocomplete="off" /><//>
    <${Field} id="wh-url" label=${t("webhook.url")} hint=${t("form.url_hint")}><input id="wh-url" type="url" required maxlength="2048" value=${form.url} onInput=${set("url")} autocomplete="off" placeholder="https://example.org/hook" aria-describedby="wh-url-hint" /><//>
    <${Types} form=${form} set=${set} session=${session} />
    <${Field} wide id="wh-filter" label=${t("webhook.filter")} hint=${t("form.filter_hint")}><textarea id="wh-filter" rows="3" class="mono" spellcheck="false" value=${form.filter} onInput=${set("filter")} placeholder=${'{"amount_kopeks": {"$gte": 100000}}'} aria-describedby="wh-filter-hint"></textarea><//>
    <${Field} id="wh-secret-kind" label=${t("webhook.secret")} hint=${t("form.secret_hint")}><${Choice} id="wh-secret-kind" value=${form.secret_kind} options=${kinds.map((kind) => [kind, t(`secret.${kind}`)])} onChange=${set("secret_kind")} /><//>
    ${form.secret_kind === "own" && html`<${Field} id="wh-secret" label=${t("secret.own_field")}><input id="wh-secret" type="password" required maxlength="255" autocomplete="new-password" value=${form.secret} onInput=${set("secret")} /><//>`}
    <${Field} wide id="wh-description" label=${t("webhook.description")}><input id="wh-description" maxlength="1000" value=${form.description} onInput=${set("description")} /><//>
    <div class="control wide"><${Check} id="wh-active" checked=${form.is_active} onChange=${set("is_active")}>${t("form.active")}<//></div>`;
}

/** The catalogue of event types, and patterns of one's own. */
function Types({ form, set, session }) {
  const types = useEventTypes(session);
  const [more, setMore] = useState("");
  const known = ["*", ...patternsOf(types)];
  const shown = [...known, ...form.event_types.filter((item) => !known.includes(item))];
  const about = Object.fromEntries(types.map(({ name, description }) => [name, description]));
  about["*"] = t("form.all_types");
  const toggle = (name) => (on) => set("event_types")(on ? [...form.event_types, name] : form.event_types.filter((item) => item !== name));
  const add = () => {
    const name = more.trim();
    if (name && !form.event_types.includes(name)) set("event_types")([...form.event_types, name]);
    setMore("");
  };
  return html`<fieldset class="control wide types" id="wh-types"><legend>${t("webhook.types")}</legend>
    <div class="catalogue">${shown.map((name) => html`<${Check} key=${name} id="wh-type-${name}" checked=${form.event_types.includes(name)} onChange=${toggle(name)}><code>${printable(name)}</code> <span class="quiet">${about[name] ?? ""}</span><//>`)}</div>
    <div class="line"><input id="wh-pattern" aria-label=${t("form.pattern")} placeholder=${t("form.pattern")} value=${more} onInput=${(event) => setMore(event.currentTarget.value)} onKeyDown=${(press) => press.key === "Enter" && (press.preventDefault(), add())} /><button type="button" onClick=${add}>${t("form.add")}</button></div>
  </fieldset>`;
}

function BodyPart({ form, set, session }) {
  const { data } = useLoaded(() => session.api.get("transforms"), []);
  const transforms = [["", t("form.no_transform")], ...(data?.items ?? []).map(({ name, description }) => [name, `${name} – ${description}`])];
  const chosen = data?.items.find(({ name }) => name === form.transform);
  const choose = (name) => {
    set("transform")(name);
    const example = data?.items.find((item) => item.name === name)?.config_schema;
    if (name && !form.transform_config.trim()) set("transform_config")(JSON.stringify(exampleOf(example), null, 2));
  };
  const formats = ["payload", "envelope"].map((name) => [name, t(`format.${name}`)]);
  return html`<div class="form">
    <${Field} id="wh-format" label=${t("webhook.format")}><${Choice} id="wh-format" value=${form.format} options=${formats} onChange=${set("format")} /><//>
    <${Field} id="wh-transform" label=${t("webhook.transform")} hint=${t("form.transform_hint")}><${Choice} id="wh-transform" value=${form.transform} options=${transforms} onChange=${choose} /><//>
    ${form.transform && html`<${Field} wide id="wh-transform-config" label=${t("webhook.transform_config")} hint=${chosen && Object.entries(chosen.config_schema.properties ?? {}).map(([name, { description }]) => `${name}: ${description ?? ""}`).join("; ")}>
      <textarea id="wh-transform-config" rows="5" class="mono" spellcheck="false" value=${form.transform_config} onInput=${set("transform_config")} aria-describedby="wh-transform-config-hint"></textarea><//>`}
    <${Field} wide id="wh-headers" label=${t("webhook.headers")} hint=${t("form.headers_hint")}><textarea id="wh-headers" rows="3" class="mono" spellcheck="false" value=${form.headers} onInput=${set("headers")} placeholder="X-Api-Key: abc" aria-describedby="wh-headers-hint"></textarea><//>
  </div>`;
}

const exampleOf = (schema) =>
  Object.fromEntries((schema?.required ?? []).map((name) => [name, schema.properties[name].examples?.[0] ?? ""]));

function DeliveryPart({ form, set }) {
  const field = (name, attributes) =>
    html`<${Field} id="wh-${name}" label=${t(`webhook.${name}`)} hint=${t(`form.${name}_hint`)}><input id="wh-${name}" value=${form[name]} onInput=${set(name)} inputmode="decimal" autocomplete="off" aria-describedby="wh-${name}-hint" ...${attributes} /><//>`;
  return html`<div class="form">
    ${field("timeout")}${field("concurrency")}${field("rate_limit")}${field("retry_schedule", { inputmode: "text", placeholder: "5, 300, 1800" })}
    <div class="control wide"><${Check} id="wh-ordered" checked=${form.ordered} onChange=${set("ordered")}>${t("form.ordered")}<//></div>
    <${Field} wide id="wh-ca" label=${t("webhook.ca")} hint=${t("form.ca_hint")}><textarea id="wh-ca" rows="4" class="mono" spellcheck="false" value=${form.ca} onInput=${set("ca")} placeholder="-----BEGIN CERTIFICATE-----" aria-describedby="wh-ca-hint"></textarea><//>
  </div>`;
}

/** The request for the example of a type, byte for byte as far as the panel can know it. */
function Preview({ form, session, webhook }) {
  const types = useEventTypes(session);
  const wanted = types.filter(({ name }) => form.event_types.some((pattern) => matches(pattern, name)));
  const [choice, setChoice] = useState("");
  const type = wanted.find(({ name }) => name === choice) ?? wanted[0] ?? types.find(({ name }) => name === "user.created") ?? types[0];
  const plain = useMemo(() => type && previewOf(form, webhook, type), [form, type]);
  const [request, setRequest] = useState(null);
  const [now] = useState(() => Math.floor(Date.now() / 1000));
  useEffect(() => {
    let seen = true;
    setRequest(plain);
    if (plain && form.secret_kind === "own" && form.secret) signed(plain, form.secret, { id: EXAMPLE_ID, seconds: now }).then((done) => seen && setRequest(done));
    return () => (seen = false);
  }, [plain]);
  if (!request) return null;
  const lines = [`POST ${request.url || "https://…"}`, ...request.headers.map(([name, value]) => `${name}: ${value}`)];
  return html`<section class="card pad preview" id="preview" aria-label=${t("preview.title")}>
    <div class="subhead"><h2>${t("preview.title")}</h2><${Copy} label=${t("copy.curl")} text=${() => curlOf(request)} /></div>
    ${wanted.length > 1 && html`<${Choice} id="preview-type" label=${t("test.type")} value=${type.name} options=${wanted.map(({ name }) => [name, name])} onChange=${setChoice} />`}
    <pre tabindex="0" role="region" aria-label=${t("request.headers")}>${lines.map(printable).join("\n")}</pre>
    ${request.note && html`<p class="hint">${request.note}</p>`}
    <${Json} value=${request.body} label=${t("request.body")} id="preview-body" />
    <p class="hint">${t("preview.note")}</p></section>`;
}

const EXAMPLE_ID = "evt_0192f0c3a1b27c4e9d5e6f708192a3b4";

function previewOf(form, webhook, type) {
  let headers = {};
  try {
    headers = headersOf(form.headers);
  } catch {
    // Half-written; saving will say so.
  }
  const signs = form.secret_kind === "keep" ? webhook?.has_secret : form.secret_kind !== "none";
  const like = { id: webhook?.id, url: form.url, format: form.format, has_secret: signs, headers, transform: form.transform ? { name: form.transform } : null };
  return requestOf(like, { event: { type: type.name, id: EXAMPLE_ID, payload: type.example } });
}

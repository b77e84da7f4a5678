// Event types: what they mean, their schema and example, and a form that sends one.

import { useEventTypes } from "../parts/catalogue.js";
import { useAction } from "../parts/hooks.js";
import { t } from "../parts/i18n.js";
import { fieldsOf, formOf, payloadOf, SchemaForm } from "../parts/schema-form.js";
import { BASE } from "../parts/api.js";
import { curl, pretty, printable, toneOf } from "../parts/text.js";
import { Check, Copy, Empty, Field, Head, Json, NoScope, Trouble } from "../parts/ui.js";
import { html, useMemo, useState } from "../vendor/preact/preact-htm.js";

export function EventTypes({ session, rest }) {
  if (!session.can["events:read"]) return html`<${NoScope} scope="events:read" what="scope.types" />`;
  return html`<${Catalogue} session=${session} name=${rest} />`;
}

function Catalogue({ session, name }) {
  const types = useEventTypes(session);
  const type = types.find((item) => item.name === name);
  if (type) return html`<${One} key=${name} session=${session} type=${type} />`;
  return html`<${Head} title=${t("nav.types")} />
    ${session.types?.length === 0 && html`<${Empty}>${t("types.empty")}<//>`}
    <ul id="type-list" class="cards">${types.map(
      (item) => html`<li class="card pad"><a class="type tone-${toneOf(item.name)}" href="#/types/${item.name}">${item.name}</a>
        <p>${item.description}</p><p class="quiet small">${t("types.plugin", { name: item.plugin })}</p></li>`,
    )}</ul>`;
}

function One({ session, type }) {
  const fields = useMemo(() => fieldsOf(type.schema, type.example), [type]);
  return html`<${Head} back=${{ href: "#/types", text: t("nav.types") }} title=${html`<span class="type tone-${toneOf(type.name)}">${type.name}</span>`} />
    <p>${type.description} <span class="quiet">${t("types.plugin", { name: type.plugin })}</span></p>
    <div class="columns"><div>
      <section class="card pad" aria-label=${t("types.fields")}><h2>${t("types.fields")}</h2><${Fields} fields=${fields} />
        <details class="plain"><summary>${t("types.schema")}</summary><${Json} value=${type.schema} label=${t("types.schema")} /></details></section>
      <section class="card pad"><div class="subhead"><h2>${t("types.example")}</h2><${Copy} text=${() => pretty(type.example)} /></div><${Json} value=${type.example} label=${t("types.example")} /></section>
    </div>
    ${session.can["events:write"] ? html`<${Send} session=${session} type=${type} fields=${fields} />` : html`<${NoScope} scope="events:write" what="scope.send" />`}</div>`;
}

const Fields = ({ fields }) =>
  html`<table class="list fields"><thead><tr><th scope="col">${t("types.field")}</th><th scope="col">${t("types.type")}</th><th scope="col">${t("types.about")}</th></tr></thead>
    <tbody>${fields.map(
      ({ name, type, nullable, required, description }) => html`<tr><td><code>${name}</code>${required ? " *" : ""}</td>
        <td data-head=${t("types.type")}><code>${type}${nullable ? " | null" : ""}</code></td><td data-head=${t("types.about")}>${description}</td></tr>`,
    )}</tbody></table>`;

function Send({ session, type, fields }) {
  const [form, setForm] = useState(() => formOf(fields, type.example));
  const [raw, setRaw] = useState(null); // the payload's text, when it is written by hand
  const [key, setKey] = useState("");
  const [sent, setSent] = useState(null);
  const { run, busy, problem } = useAction();
  const bodyOf = () => {
    const payload = raw ?? payloadOf(fields, form);
    JSON.parse(payload);
    const more = key ? `, "key": ${JSON.stringify(key)}` : "";
    return `{"type": ${JSON.stringify(type.name)}, "payload": ${payload}${more}}`;
  };
  const submit = (event) => {
    event.preventDefault();
    setSent(null);
    run(async () => setSent(await session.api.post("events", bodyOf())));
  };
  const byHand = (on) => {
    if (!on) return setRaw(null);
    try {
      setRaw(JSON.stringify(JSON.parse(payloadOf(fields, form)), null, 2));
    } catch {
      setRaw(pretty(type.example));
    }
  };
  const command = () =>
    curl("POST", String(new URL("events", BASE)), [["Authorization", "Bearer YOUR_API_TOKEN"], ["Content-Type", "application/json"]], bodyOf());
  return html`<form id="send-form" class="card pad form" onSubmit=${submit} noValidate>
    <div class="wide"><h2>${t("send.title")}</h2><p class="quiet">${t("send.text")}</p></div>
    <div class="control wide"><${Check} id="send-raw" checked=${raw !== null} onChange=${byHand}>${t("send.raw")}<//></div>
    ${raw === null
      ? html`<${SchemaForm} fields=${fields} form=${form} onChange=${setForm} prefix="payload" />`
      : html`<${Field} wide id="send-payload" label=${t("event.payload")}><textarea id="send-payload" rows="12" class="mono" spellcheck="false" value=${raw} onInput=${(event) => setRaw(event.currentTarget.value)}></textarea><//>`}
    <${Field} id="send-key" label=${t("event.key")} hint=${t("send.key_hint")}><input id="send-key" value=${key} onInput=${(event) => setKey(event.currentTarget.value)} autocomplete="off" aria-describedby="send-key-hint" /><//>
    <div class="wide"><${Trouble} problem=${problem} id="send-problem" />
      <p role="status" id="sent">${sent && html`${t("send.sent", { sequence: sent.sequence, n: sent.deliveries ?? 0 })} <a href="#/live">${t("send.see")}</a> <code>${printable(sent.id)}</code>`}</p></div>
    <div class="buttons wide"><button type="submit" id="send-event" class="primary" disabled=${busy}>${t("send.button")}</button><${Copy} label=${t("copy.curl")} text=${command} /></div>
  </form>`;
}

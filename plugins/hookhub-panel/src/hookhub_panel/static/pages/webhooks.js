// Webhooks: the list with its health, one of them, and making one.

import { WebhookForm } from "../parts/webhook-form.js";
import { Health } from "../parts/webhook-health.js";
import { useLoaded, useSignals, useThrottled } from "../parts/hooks.js";
import { moment, number, percent, t } from "../parts/i18n.js";
import { printable } from "../parts/text.js";
import { Empty, Head, More, NoScope, Trouble } from "../parts/ui.js";
import { html, useState } from "../vendor/preact/preact-htm.js";
import { Webhook } from "./webhook.js";

const REFRESH = 10_000;
const PAGE = 50;
const MORE = 200;

export function Webhooks({ session, rest }) {
  if (!session.can["webhooks:read"]) return html`<${NoScope} scope="webhooks:read" what="scope.webhooks" />`;
  const [id, part] = rest.split("/");
  if (id === "new") return html`<${WebhookForm} session=${session} />`;
  if (/^\d+$/.test(id)) return html`<${Webhook} session=${session} id=${Number(id)} part=${part ?? ""} />`;
  return html`<${List} session=${session} />`;
}

function List({ session }) {
  const [limit, setLimit] = useState(PAGE);
  const [active, setActive] = useState("");
  const load = () => session.api.list("webhooks", { is_active: active }, limit);
  const { data, problem, refresh } = useLoaded(load, [limit, active], REFRESH);
  useSignals(session, {}, useThrottled(refresh, 1_000));
  const may = session.can["webhooks:write"];
  const filter = html`<select id="webhook-filter" aria-label=${t("webhooks.filter")} value=${active} onChange=${(event) => setActive(event.currentTarget.value)}>
    <option value="">${t("webhooks.all")}</option><option value="true">${t("webhook.active")}</option><option value="false">${t("webhook.inactive")}</option></select>`;
  return html`<${Head} title=${t("nav.webhooks")}>
      ${filter}${may ? html`<a class="button primary" id="webhook-new" href="#/webhooks/new">${t("webhooks.new")}</a>` : html`<span class="quiet">${t("webhooks.read_only")}</span>`}<//>
    <${Trouble} problem=${problem} id="webhooks-problem" />
    ${data && data.total === 0 && html`<${Empty}><p>${t(active ? "webhooks.none_such" : "webhooks.empty")}</p>
      ${may && !active && html`<p><a href="#/webhooks/new">${t("webhooks.empty_new")}</a></p>`}<//>`}
    ${data?.items.length > 0 && html`<${Table} items=${data.items} />`}
    ${data?.total > PAGE && html`<${More} shown=${data.items.length} total=${data.total} onMore=${() => setLimit(limit + MORE)} />`}`;
}

function Table({ items }) {
  const heads = ["name", "status", "types", "delivered", "failed", "last"];
  return html`<div class="card" id="webhook-list"><table class="list">
    <thead><tr>${heads.map((name) => html`<th scope="col">${t(`webhook.${name}`)}</th>`)}</tr></thead>
    <tbody>${items.map((item) => html`<${Row} key=${item.id} item=${item} />`)}</tbody></table></div>`;
}

function Row({ item }) {
  const all = item.success_count + item.failure_count;
  const cell = (name, content) => html`<td data-head=${t(`webhook.${name}`)}>${content}</td>`;
  return html`<tr>
    <td><a class="name" href="#/webhooks/${item.id}">${printable(item.name)}</a><div class="quiet mono url">${printable(item.url)}</div></td>
    ${cell("status", html`<${Health} item=${item} />`)}
    ${cell("types", html`<span class="mono">${item.event_types.join(", ")}</span>`)}
    ${cell("delivered", html`${number(item.success_count)} ${all > 0 && html`<meter min="0" max="1" low="0.9" optimum="1" value=${item.success_count / all} title=${percent(item.success_count / all)} aria-label=${t("overview.rate")}></meter>`}`)}
    ${cell("failed", number(item.failure_count))}
    ${cell("last", moment(item.last_triggered_at))}
  </tr>`;
}

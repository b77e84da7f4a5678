// Connections: who follows the live feed.

import { useLoaded } from "../parts/hooks.js";
import { number, t } from "../parts/i18n.js";
import { printable } from "../parts/text.js";
import { Empty, Head, More, NoScope, Pill, Time, Trouble, useConfirm } from "../parts/ui.js";
import { html, useState } from "../vendor/preact/preact-htm.js";

const REFRESH = 2_000;
const PAGE = 50;
const MORE = 200;

export function Connections({ session }) {
  if (!session.can["events:read"]) return html`<${NoScope} scope="events:read" what="scope.connections" />`;
  return html`<${List} session=${session} />`;
}

function List({ session }) {
  const [limit, setLimit] = useState(PAGE);
  const { data, problem, refresh } = useLoaded(() => session.api.list("live/connections", {}, limit), [limit], REFRESH);
  const [ask, question] = useConfirm();
  const heads = ["who", "kind", "since", "events", "lag", "sent", "actions"];
  return html`<${Head} title=${t("nav.connections")}>${data && html`<span class="quiet">${t("connections.count", { n: data.total })}</span>`}<//>
    <p class="quiet">${t(session.can.admin ? "connections.all" : "connections.own")}</p>
    <${Trouble} problem=${problem} />
    ${data?.total === 0 && html`<${Empty}><p>${t("connections.empty")}</p><pre tabindex="0">hookhub tail</pre><//>`}
    ${data?.items.length > 0 && html`<div class="card" id="connection-list"><table class="list"><thead><tr>${heads.map((name) => html`<th scope="col">${t(`connection.${name}`)}</th>`)}</tr></thead>
      <tbody>${data.items.map((item) => html`<${Row} key=${item.id} session=${session} item=${item} refresh=${refresh} ask=${ask} />`)}</tbody></table></div>`}
    ${data?.total > PAGE && html`<${More} shown=${data.items.length} total=${data.total} onMore=${() => setLimit(limit + MORE)} />`}${question}`;
}

function Row({ session, item, refresh, ask }) {
  const close = () =>
    ask({
      title: t("dismiss.title"),
      text: t("dismiss.text", { name: printable(item.token_name), address: printable(item.address) }),
      button: t("dismiss.button"),
      onYes: () => session.api.delete(`live/connections/${encodeURIComponent(item.id)}`).then(refresh),
    });
  const cell = (head, content) => html`<td data-head=${t(`connection.${head}`)}>${content}</td>`;
  const where = item.where && Object.values(item.where).some(Boolean) && JSON.stringify(item.where);
  return html`<tr data-connection=${item.id}><td><span class="name">${printable(item.token_name)}</span><div class="quiet mono">${printable(item.address)}</div><div class="quiet small url">${printable(item.user_agent ?? "")}</div></td>
    ${cell("kind", html`<${Pill}>${item.kind}<//>`)}
    ${cell("since", html`<${Time} iso=${item.since} />`)}
    ${cell("events", html`<code>${(item.events ?? ["*"]).join(", ")}</code> ${where && html`<code class="quiet">${printable(where)}</code>`}`)}
    ${cell("lag", item.lag ? html`<${Pill} tone="pending">${number(item.lag)}<//>` : number(0))}
    ${cell("sent", html`${number(item.events_sent)} <span class="quiet">${bytes(item.bytes_sent)}</span>`)}
    <td><button type="button" class="small danger" onClick=${close}>${t("dismiss.button")}</button></td></tr>`;
}

function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  for (; n >= 1024 && at < units.length - 1; at++) n /= 1024;
  return t(`unit.${units[at]}`, { n: number(n, at ? 1 : 0) });
}

// Nodes: the hubs on one database.

import { useLoaded } from "../parts/hooks.js";
import { number, t } from "../parts/i18n.js";
import { printable } from "../parts/text.js";
import { Head, NoScope, Pill, Time, Trouble } from "../parts/ui.js";
import { html } from "../vendor/preact/preact-htm.js";

const REFRESH = 2_000;
const TONES = { running: "success", draining: "pending", gone: "failed" };

export function Nodes({ session }) {
  if (!session.can["webhooks:read"]) return html`<${NoScope} scope="webhooks:read" what="scope.nodes" />`;
  return html`<${List} session=${session} />`;
}

function List({ session }) {
  const { data, problem } = useLoaded(() => session.api.get("nodes"), [], REFRESH);
  const heads = ["name", "state", "since", "seen", "owned", "claimed", "connections"];
  return html`<${Head} title=${t("nav.nodes")} /><p class="quiet">${t("nodes.about")}</p><${Trouble} problem=${problem} />
    ${data && html`<div class="card" id="node-list"><table class="list"><thead><tr>${heads.map((name) => html`<th scope="col">${t(`node.${name}`)}</th>`)}</tr></thead>
      <tbody>${data.items.map((item) => html`<${Row} key=${item.id} item=${item} />`)}</tbody></table></div>`}`;
}

function Row({ item }) {
  const cell = (head, content) => html`<td data-head=${t(`node.${head}`)}>${content}</td>`;
  return html`<tr data-node=${item.id}><td><span class="name">${printable(item.name)}</span> ${item.this && html`<span class="quiet">${t("node.this")}</span>`}<div class="quiet mono">hookhub ${printable(item.version)}</div></td>
    ${cell("state", html`<${Pill} tone=${TONES[item.state]}>${t(`node.is.${item.state}`)}<//>`)}
    ${cell("since", html`<${Time} iso=${item.started_at} />`)}
    ${cell("seen", html`<${Time} iso=${item.seen_at} />`)}
    ${cell("owned", number(item.owned))}
    ${cell("claimed", number(item.claimed))}
    ${cell("connections", number(item.connections))}</tr>`;
}

// Plugins: what is installed, what each contributes, and what is wrong with it.

import { useLoaded } from "../parts/hooks.js";
import { has, number, t } from "../parts/i18n.js";
import { printable } from "../parts/text.js";
import { Empty, Head, NoScope, Pill, Trouble } from "../parts/ui.js";
import { html } from "../vendor/preact/preact-htm.js";

const REFRESH = 10_000;
const FEW = 6; // names; more are shown on request

export function Plugins({ session }) {
  if (!session.can.admin) return html`<${NoScope} scope="admin" what="scope.plugins" />`;
  return html`<${List} session=${session} />`;
}

function List({ session }) {
  const { data, problem } = useLoaded(() => session.api.get("plugins"), [], REFRESH);
  return html`<${Head} title=${t("nav.plugins")} /><${Trouble} problem=${problem} />
    ${data?.items.length === 0 && html`<${Empty}><p>${t("plugins.empty")}</p><pre tabindex="0">pip install 'hookhub[standard]'</pre><//>`}
    <ul id="plugin-list" class="cards">${data?.items.map((item) => html`<${Plugin} key=${item.name} item=${item} />`)}</ul>`;
}

function Plugin({ item }) {
  const [tone, key] = item.error ? ["failed", "plugin.broken"] : item.disabled ? ["", "plugin.disabled"] : ["success", "plugin.works"];
  return html`<li class="card pad" data-plugin=${item.name}><p class="line"><strong>${printable(item.name)}</strong> <span class="quiet">${printable(`${item.distribution ?? ""} ${item.version ?? ""}`)}</span> <${Pill} tone=${tone}>${t(key)}<//></p>
    ${item.error && html`<p class="said">${printable(item.error)}</p>`}
    <dl class="facts">${Object.entries(item.contributes).map(
      ([kind, names]) => html`<div><dt>${has(`plugin.${kind}`) ? t(`plugin.${kind}`) : kind}</dt><dd><${Names} names=${[names].flat()} /></dd></div>`,
    )}</dl></li>`;
}

function Names({ names }) {
  const list = names.map((name) => html`<code class="scope">${printable(name)}</code> `);
  if (names.length <= FEW) return list;
  return html`<details><summary>${number(names.length)}</summary>${list}</details>`;
}

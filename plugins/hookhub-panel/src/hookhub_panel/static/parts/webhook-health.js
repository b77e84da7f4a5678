// How a webhook is: on or off, failing, unreadable, left alone by its breaker.

import { html } from "../vendor/preact/preact-htm.js";
import { moment, t } from "./i18n.js";
import { printable } from "./text.js";
import { Pill } from "./ui.js";

/** How a webhook does: whether it is on, and its breaker when that is not closed. */
export function Health({ item }) {
  const [tone, key] = !item.is_active
    ? item.disabled_reason
      ? ["failed", "webhook.disabled"]
      : ["", "webhook.inactive"]
    : item.unreadable
      ? ["failed", "webhook.unreadable"]
      : item.failing_since
        ? ["pending", "webhook.failing"]
        : ["success", "webhook.active"];
  const since = item.failing_since && t("webhook.failing_since", { time: moment(item.failing_since) });
  return html`<span class="pills"><${Pill} tone=${tone} title=${since}>${t(key)}<//>
    ${item.breaker !== "closed" && html`<${Pill} tone=${item.breaker === "open" ? "failed" : "pending"} title=${t("breaker.note")}>${t(`breaker.${item.breaker}`)}<//>`}
    ${(item.disabled_reason || item.unreadable) && html`<span class="said">${printable(item.disabled_reason || item.unreadable)}</span>`}</span>`;
}

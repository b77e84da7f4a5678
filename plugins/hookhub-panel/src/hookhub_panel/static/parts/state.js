// The state of the feed, always seen: what it is now, what was recovered, what is missing.

import { html, useEffect } from "../vendor/preact/preact-htm.js";
import { useRedraw } from "./hooks.js";
import { t } from "./i18n.js";

const BOAST = 10_000; // how long it says what was caught up

export function State({ session }) {
  const redraw = useRedraw();
  const { feed } = session;
  useEffect(() => {
    const timer = setInterval(redraw, 500);
    const end = feed?.listen(redraw);
    return () => {
      clearInterval(timer);
      end?.();
    };
  }, [feed]);
  const state = feed ? feed.state : { name: "no_scope" };
  const gap = "missed" in state;
  return html`<div id="connection">
    <span id="state" role="status" data-state=${state.name} data-transport=${state.transport} title=${state.reason ?? ""}>
      <i class="dot" aria-hidden="true"></i><span id="state-text">${textOf(state, feed)}</span></span>
    ${gap &&
    html`<button id="gap" class="chip warn" type="button" title=${t("gap.dismiss")} onClick=${() => feed.acknowledge()}>
      ${state.missed === null ? t("gap.unknown") : t("gap.chip", { n: state.missed })}</button>`}
  </div>`;
}

function textOf(state, feed) {
  const wait = state.retryAt ? Math.max(0, Math.ceil((state.retryAt - Date.now()) / 1000)) : 0;
  switch (state.name) {
    case "live":
    case "gap": {
      const { recovered } = feed;
      if (recovered && Date.now() - recovered.at < BOAST) {
        return recovered.events ? t("state.recovered", { n: recovered.events }) : t("state.recovered_none");
      }
      return t(state.transport === "sse" ? "state.live_sse" : "state.live");
    }
    case "offline":
      if (!state.network) return t("state.no_network");
      return wait ? t("state.offline", { s: wait }) : t("state.offline_now");
    case "reconnecting":
      return wait ? t("state.reconnecting", { s: wait }) : t("state.reconnecting_now");
    case "stopped":
      return t(`state.stopped.${state.code}`);
    default:
      return t(`state.${state.name}`);
  }
}

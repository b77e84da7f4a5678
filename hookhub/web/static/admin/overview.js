// The section "Overview": totals of all webhooks, and how the hub itself is.

import { Unreachable } from "./api.js";
import { byId, el, printable } from "./dom.js";
import { number, t } from "./i18n.js";

const REFRESH = 3_000;

export class Overview {
  #api = null;
  #webhooks = false;
  #shown = false;
  #stats = null;
  #checks = null;
  #down = false;

  constructor() {
    setInterval(() => document.hidden || this.refresh(), REFRESH);
  }

  /** `webhooks`: whether their totals can be had. */
  open(api, webhooks) {
    this.#api = api;
    this.#webhooks = webhooks;
    this.refresh();
  }

  close() {
    this.#api = this.#stats = this.#checks = null;
    this.texts();
  }

  show(shown) {
    this.#shown = shown;
    this.refresh();
  }

  async refresh() {
    const api = this.#api;
    if (!api || !this.#shown) return;
    try {
      const [stats, checks] = await Promise.all([
        this.#webhooks ? api.get("webhooks/stats") : null,
        this.#ready(api),
      ]);
      if (api !== this.#api) return;
      [this.#stats, this.#checks, this.#down] = [stats, checks, false];
    } catch (error) {
      this.#down = error instanceof Unreachable;
    }
    this.texts();
  }

  async #ready(api) {
    try {
      return (await api.get("health/ready")).checks;
    } catch (error) {
      if (error.body?.checks) return error.body.checks; // 503, and what is wrong
      throw error;
    }
  }

  texts() {
    byId("overview-problem").hidden = !this.#down;
    byId("overview-problem").textContent = this.#down ? t("problem.unreachable") : "";
    byId("tiles").replaceChildren(...(this.#stats ? tiles(this.#stats) : []));
    byId("health").hidden = !this.#checks;
    byId("health").replaceChildren(...(this.#checks ? health(this.#checks) : []));
  }
}

function tile(name, value, note = "", tone = "") {
  return el(
    "div",
    { class: `tile ${tone}` },
    el("span", { class: "quiet" }, t(`overview.${name}`)),
    el("strong", {}, value),
    el("span", { class: "quiet small" }, note),
  );
}

function tiles(stats) {
  const share = el("meter", { min: 0, max: 100, value: stats.success_rate, "aria-hidden": "true" });
  const rate = tile("rate", `${number(stats.success_rate)} %`);
  rate.lastChild.replaceWith(share);
  const total = t("overview.of", { n: stats.total_webhooks });
  return [
    tile("webhooks", number(stats.active_webhooks), total),
    tile("deliveries", number(stats.total_deliveries)),
    tile("delivered", number(stats.successful_deliveries), "", "success"),
    tile("pending", number(stats.pending_deliveries), "", "pending"),
    tile("failed", number(stats.failed_deliveries), "", stats.failed_deliveries ? "failed" : ""),
    rate,
  ];
}

function health(checks) {
  // "stopping" is no part of the hub; it matters only while it is so.
  const parts = Object.entries(checks).filter(([name, text]) => name !== "stopping" || text !== "ok");
  const rows = parts.map(([name, text]) => {
    const well = text === "ok";
    const pill = el("span", { class: `pill ${well ? "success" : "failed"}` }, name);
    return el("li", {}, pill, " ", well ? t("health.ok") : printable(text));
  });
  return [el("h2", {}, t("health.title")), el("ul", {}, ...rows)];
}

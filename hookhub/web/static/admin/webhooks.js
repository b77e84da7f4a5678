// The section "Webhooks": the list with its health, and one of them with its deliveries.

import { BASE, Unreachable } from "./api.js";
import { byId, el, facts, keyed, pretty, printable } from "./dom.js";
import { moment, number, t } from "./i18n.js";

const REFRESH = 3_000;
const LIST = 200;
const PAGE = 25;
const ERRORS_AT_ONCE = 10;
const RECENT = 20; // deliveries that are looked through for the last error

export class Webhooks {
  #api = null;
  #shown = false;
  #id = null; // of the one webhook that is shown
  #busy = false;
  #again = false;
  #status = "";
  #limit = PAGE;
  #errors = new Map(); // id to {failures, text}
  #list = byId("webhook-list");
  #one = byId("webhook-one");

  constructor() {
    setInterval(() => document.hidden || this.refresh(), REFRESH);
  }

  open(api) {
    this.#api = api;
    this.refresh();
  }

  refuse() {
    this.#complain(t("webhooks.no_scope"));
  }

  close() {
    this.#api = null;
    this.#errors.clear();
    this.#complain("");
    this.#list.replaceChildren();
    this.#one.replaceChildren();
  }

  /** Whether the section is seen, and which webhook (null: the list). */
  show(shown, id = null) {
    this.#shown = shown;
    if (id !== this.#id) {
      this.#id = id;
      this.#status = "";
      this.#limit = PAGE;
      this.#one.replaceChildren();
    }
    this.#list.hidden = id !== null;
    this.#one.hidden = id === null;
    this.refresh();
  }

  texts() {
    this.#list.replaceChildren();
    this.#one.replaceChildren();
    if (!this.#api && byId("webhooks-problem").textContent) this.refuse();
    this.refresh();
  }

  async refresh() {
    if (!this.#shown || !this.#api) return;
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    const api = this.#api;
    try {
      await (this.#id === null ? this.#showList(api) : this.#showOne(api, this.#id));
      if (api === this.#api) this.#complain("");
    } catch (error) {
      if (api === this.#api) {
        const down = error instanceof Unreachable;
        this.#complain(down ? t("problem.unreachable") : error.message);
      }
    }
    this.#busy = false;
    if (this.#again) {
      this.#again = false;
      this.refresh();
    }
  }

  #complain(text) {
    const place = byId("webhooks-problem");
    if (place.textContent !== text) place.textContent = text;
    place.hidden = text === "";
  }

  // -- the list ----------------------------------------------------------------------------

  async #showList(api) {
    const { items, total } = await api.get("webhooks", { limit: LIST });
    if (api !== this.#api || this.#id !== null) return;
    if (total === 0) return this.#showEmpty();
    if (!this.#list.querySelector("table")) this.#list.replaceChildren(...this.#table());
    keyed(this.#list.querySelector("tbody"), items, (item) => item.id, () => this.#row());
    const rest = total - items.length;
    this.#list.querySelector(".rest").textContent = rest > 0 ? t("webhooks.more", { n: rest }) : "";
    await this.#findErrors(api, items);
  }

  #showEmpty() {
    const docs = el("a", { href: String(new URL("docs", BASE)) }, "/docs");
    this.#list.replaceChildren(el("p", { class: "notice" }, t("webhooks.empty"), " ", docs, "."));
  }

  #table() {
    const names = ["name", "status", "types", "delivered", "failed", "last", "last_error"];
    const heads = names.map((name) => el("th", { scope: "col" }, t(`webhook.${name}`)));
    heads.at(-1).title = t("webhook.last_error_note");
    const head = el("thead", {}, el("tr", {}, ...heads));
    return [
      el("div", { class: "card scroll" }, el("table", { class: "list" }, head, el("tbody"))),
      el("p", { class: "rest quiet" }),
    ];
  }

  #row() {
    const name = el("a", { class: "name" });
    const url = el("div", { class: "quiet mono url" });
    const labels = ["status", "types", "delivered", "failed", "last", "last_error"];
    const cells = labels.map((label) => el("td", { "data-head": t(`webhook.${label}`) }));
    const [status, types, delivered, failed, last, error] = cells;
    error.className = "last";
    const update = (item) => {
      name.href = `#/webhooks/${item.id}`;
      name.textContent = printable(item.name);
      url.textContent = printable(item.url);
      status.replaceChildren(webhookPill(item));
      types.replaceChildren(el("span", { class: "mono" }, item.event_types.join(", ")));
      delivered.textContent = number(item.success_count);
      failed.textContent = number(item.failure_count);
      last.textContent = moment(item.last_triggered_at);
      const wrong = item.disabled_reason ?? this.#errors.get(item.id)?.text ?? "";
      error.textContent = printable(wrong) || "–";
      error.classList.toggle("error", wrong !== "");
    };
    return { node: el("tr", {}, el("td", {}, name, url), ...cells), update };
  }

  /** Look up the last error of those that failed since it was looked up last. */
  async #findErrors(api, items) {
    const due = items.filter(
      (item) => item.failure_count > 0 && this.#errors.get(item.id)?.failures !== item.failure_count,
    );
    for (const item of due.slice(0, ERRORS_AT_ONCE)) {
      const page = await api.get(`webhooks/${item.id}/deliveries`, { limit: RECENT });
      if (api !== this.#api) return;
      const text = page.items.find((delivery) => delivery.error_message)?.error_message ?? "";
      this.#errors.set(item.id, { failures: item.failure_count, text });
      this.#list.querySelector("tbody")?.keyedNodes?.get(item.id)?.update(item);
    }
  }

  // -- one webhook -------------------------------------------------------------------------

  async #showOne(api, id) {
    const query = { limit: this.#limit, status: this.#status };
    const [webhook, page] = await Promise.all([
      api.get(`webhooks/${id}`),
      api.get(`webhooks/${id}/deliveries`, query),
    ]);
    if (api !== this.#api || id !== this.#id) return;
    if (!this.#one.hasChildNodes()) this.#one.replaceChildren(...this.#frame());
    this.#one.querySelector("h1").textContent = printable(webhook.name);
    this.#one.querySelector(".pill-place").replaceChildren(webhookPill(webhook));
    this.#one.querySelector("dl").replaceChildren(
      ...facts([
        [t("webhook.url"), printable(webhook.url)],
        [t("webhook.types"), webhook.event_types.join(", ")],
        [t("webhook.description"), printable(webhook.description ?? "")],
        [t("webhook.disabled"), printable(webhook.disabled_reason ?? "")],
        [t("webhook.signed"), t(webhook.has_secret ? "yes" : "no")],
        [t("webhook.delivered"), number(webhook.success_count)],
        [t("webhook.failed"), number(webhook.failure_count)],
        [t("webhook.last"), moment(webhook.last_triggered_at)],
        [t("webhook.created"), moment(webhook.created_at)],
      ]),
    );
    this.#showDeliveries(page);
  }

  #frame() {
    const values = ["", "pending", "success", "failed"];
    const options = values.map((value) =>
      el("option", { value }, t(value ? `status.${value}` : "deliveries.all")),
    );
    const select = el("select", { class: "status" }, ...options);
    select.addEventListener("change", () => {
      this.#status = select.value;
      this.#limit = PAGE;
      this.refresh();
    });
    const more = el("button", { type: "button", class: "more", hidden: true }, t("deliveries.more"));
    more.addEventListener("click", () => {
      this.#limit = Math.min(LIST, this.#limit + 50);
      this.refresh();
    });
    return [
      el("a", { class: "back", href: "#/webhooks" }, `← ${t("webhooks.back")}`),
      el("div", { class: "head" }, el("h1"), el("span", { class: "pill-place" })),
      el("dl", { class: "card wide" }),
      el(
        "div",
        { class: "toolbar" },
        el("h2", {}, t("deliveries.title")),
        el("span", { class: "total quiet" }),
        el("label", { class: "field" }, el("span", {}, t("deliveries.filter")), select),
      ),
      el("p", { class: "notice none", hidden: true }, t("deliveries.empty")),
      el("div", { class: "deliveries" }),
      more,
    ];
  }

  #showDeliveries(page) {
    const list = this.#one.querySelector(".deliveries");
    keyed(list, page.items, (item) => item.id, (item) => this.#delivery(item));
    this.#one.querySelector(".none").hidden = page.items.length > 0;
    this.#one.querySelector(".total").textContent = t("deliveries.total", { n: page.total });
    const all = page.items.length >= Math.min(page.total, LIST);
    this.#one.querySelector(".more").hidden = all;
  }

  #delivery({ id }) {
    const pill = el("span");
    const type = el("span", { class: "mono" });
    const time = el("time");
    const attempts = el("span", { class: "quiet" });
    const result = el("span", { class: "result" });
    const summary = el("summary", {}, pill, type, time, attempts, result);
    const body = el("div", { class: "attempts" });
    const node = el("details", {}, summary, body);
    let seen = "";
    const load = () => node.open && this.#showAttempts(body, id);
    node.addEventListener("toggle", load);
    const update = (item) => {
      pill.className = `pill ${item.status}`;
      pill.textContent = t(`status.${item.status}`);
      type.textContent = item.event_type;
      time.textContent = moment(item.created_at);
      attempts.textContent = t("delivery.attempts", { n: item.attempt_number });
      const next = item.next_retry_at && t("delivery.next", { time: moment(item.next_retry_at) });
      const answer = item.error_message ?? (item.response_status && String(item.response_status));
      result.textContent = printable([answer, next].filter(Boolean).join(" · "));
      const state = `${item.status} ${item.attempt_number}`;
      if (seen && seen !== state) load();
      seen = state;
    };
    return { node, update };
  }

  async #showAttempts(body, id) {
    let delivery;
    try {
      delivery = await this.#api.get(`deliveries/${id}`);
    } catch (error) {
      body.replaceChildren(el("p", { class: "problem" }, error.message));
      return;
    }
    const rows = delivery.attempts.map((attempt) => attemptRow(attempt));
    const heads = ["number", "started", "duration", "outcome", "answer"];
    const head = el("tr", {}, ...heads.map((name) => el("th", { scope: "col" }, t(`attempt.${name}`))));
    const table = el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows));
    body.replaceChildren(
      rows.length ? el("div", { class: "scroll" }, table) : el("p", { class: "quiet" }, t("delivery.none_yet")),
      el("h3", {}, t("event.payload"), " ", el("span", { class: "quiet mono" }, delivery.event_id)),
      el("pre", { tabindex: 0 }, pretty(delivery.payload)),
    );
  }
}

function webhookPill(item) {
  const [tone, key] = item.is_active
    ? ["success", "webhook.active"]
    : item.disabled_reason
      ? ["failed", "webhook.disabled"]
      : ["pending", "webhook.inactive"];
  return el("span", { class: `pill ${tone}` }, t(key));
}

function attemptRow(attempt) {
  const tone = attempt.outcome === "delivered" ? "success" : "failed";
  const said = [attempt.response_status, attempt.error_message].filter(Boolean).join(" · ");
  const body = attempt.response_body;
  return el(
    "tr",
    {},
    el("td", {}, String(attempt.number)),
    el("td", {}, moment(attempt.started_at)),
    el("td", {}, t("seconds", { s: number(attempt.duration, 3) })),
    el("td", {}, el("span", { class: `pill ${tone}` }, t(`outcome.${attempt.outcome}`))),
    el("td", {}, printable(said), body ? el("pre", {}, printable(body)) : null),
  );
}

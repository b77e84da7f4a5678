// The section "Live": the last events of history, then what happens, newest first.

import { BASE, Problem, Unreachable } from "./api.js";
import { byId, el, facts, pretty, printable, summary } from "./dom.js";
import { Feed } from "./feed.js";
import { moment, number, t } from "./i18n.js";

const ROWS = 500; // in the page, and waiting to get there
const HISTORY = 100;
const RATE_OVER = 10; // seconds
const NARROW = matchMedia("(max-width: 899px)"); // as in panel.css
const TONES = 6;

/** The colour of a type: one for each family (`user.*`), always the same. */
function toneOf(type) {
  let tone = 0;
  for (const c of type.split(".")[0]) tone = (tone * 36 + c.charCodeAt(0)) % 997;
  return tone % TONES;
}

export class Live {
  #api = null;
  #feed = null;
  #filter = "";
  #types = [];
  #turn = 0; // counts loads: what an older one brings is not wanted any more
  #paused = false;
  #queue = []; // oldest first: events, and gaps as {gap: missed}
  #drawing = false;
  #arrivals = []; // when live events came, for the rate
  #open = null; // the row whose event is shown
  #rows = byId("rows");

  /** `calls`: onState(state), onGap(missed), onEnd(why), as of Feed. */
  constructor(calls) {
    this.calls = calls;
    this.#rows.addEventListener("click", (click) => this.#clicked(click));
    this.#rows.addEventListener("keydown", (press) => this.#moved(press));
    byId("pause").addEventListener("click", () => this.#pause(!this.#paused));
    byId("event-close").addEventListener("click", () => this.#closeEvent());
    byId("live").addEventListener("keydown", (press) => {
      if (press.key === "Escape") this.#closeEvent();
    });
    const filter = byId("filter");
    byId("filter-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#choose(filter.value);
    });
    filter.addEventListener("change", () => this.#choose(filter.value));
    filter.addEventListener("input", () => filter.value === "" && this.#choose(""));
    setInterval(() => this.#showCount(), 1000);
    addEventListener("online", () => this.#feed?.poke());
    addEventListener("offline", () => this.#feed?.poke());
    document.addEventListener("visibilitychange", () => document.hidden || this.#feed?.poke());
  }

  open(api) {
    this.#api = api;
    byId("live-refused").hidden = true;
    byId("live-content").hidden = false;
    this.#load("");
    this.#loadTypes();
  }

  refuse() {
    byId("live-refused").hidden = false;
    byId("live-content").hidden = true;
  }

  close() {
    this.#turn += 1;
    this.#feed?.stop();
    this.#api = this.#feed = null;
    this.#filter = byId("filter").value = "";
    byId("filter-problem").textContent = "";
    this.#pause(false);
    this.#clear();
  }

  texts() {
    byId("live-refused").textContent = t("live.no_scope");
    for (const row of this.#rows.children) row.replaceChildren(...this.#row(row.item).childNodes);
    this.#tabStop((this.#open ?? this.#rows).querySelector(".row"));
    if (this.#open) this.#show(this.#open);
    this.#showPause();
    this.#showEmpty();
    this.#showCount();
  }

  // -- what is shown -----------------------------------------------------------------------

  async #choose(text) {
    // A word alone is meant as a beginning: `user` is `user.*`.
    const parts = text.split(",").map((part) => part.trim()).filter(Boolean);
    const filter = parts.map((part) => (/^[a-z][a-z0-9_]*$/.test(part) ? `${part}.*` : part)).join(",");
    if (!this.#api) return;
    if (filter !== this.#filter || byId("filter-problem").textContent) await this.#load(filter);
  }

  async #load(filter) {
    const turn = (this.#turn += 1);
    let page = null;
    while (page === null) {
      try {
        page = await this.#api.get("events", { newest: true, limit: HISTORY, events: filter });
      } catch (error) {
        if (turn !== this.#turn) return;
        if (error instanceof Problem && error.status < 500) return this.#complain(error);
        if (this.#feed) return this.#complain(error);
        this.calls.onState({ name: "offline", network: navigator.onLine, retryAt: Date.now() + 1000 });
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
      if (turn !== this.#turn) return;
    }
    this.#complain(null);
    this.#feed?.stop();
    this.#clear();
    this.#filter = filter;
    byId("filter").value = filter.replaceAll(",", ", ");
    this.#queue = page.items;
    this.#draw();
    this.#feed = new Feed(this.#api, page.cursor, filter, {
      onEvents: (events) => this.#arrived(events),
      onGap: (missed) => {
        this.#queue.push({ gap: missed });
        this.#drawSoon();
        this.calls.onGap(missed);
      },
      onState: this.calls.onState,
      onEnd: this.calls.onEnd,
    });
    this.#feed.start();
  }

  #complain(error) {
    const text = error instanceof Unreachable ? t("signin.unreachable") : error?.message;
    byId("filter-problem").textContent = text ?? "";
    byId("filter").setAttribute("aria-invalid", error instanceof Problem);
  }

  async #loadTypes() {
    try {
      this.#types = (await this.#api.get("event-types")).items;
    } catch {
      this.#types = []; // only suggestions
    }
    const names = this.#types.map((type) => type.name);
    const groups = new Set(names.map((name) => `${name.slice(0, name.lastIndexOf("."))}.*`));
    byId("types").replaceChildren(...[...groups, ...names].map((value) => el("option", { value })));
    this.#showEmpty();
  }

  #pause(paused) {
    this.#paused = paused;
    this.#showPause();
    this.#drawSoon();
  }

  #showPause() {
    const waiting = this.#queue.filter((item) => !("gap" in item)).length;
    const key = !this.#paused ? "live.pause" : waiting ? "live.resume_n" : "live.resume";
    byId("pause").textContent = t(key, { n: waiting });
    byId("pause").setAttribute("aria-pressed", this.#paused);
  }

  #showCount() {
    const now = performance.now();
    this.#arrivals = this.#arrivals.filter((time) => now - time < RATE_OVER * 1000);
    const rate = number(this.#arrivals.length / RATE_OVER, 1);
    const n = this.#rows.querySelectorAll(".row").length;
    byId("live-count").textContent = `${t("live.count", { n })} · ${t("live.rate", { rate })}`;
  }

  #showEmpty() {
    const empty = byId("live-empty");
    empty.hidden = this.#rows.childElementCount > 0;
    if (empty.hidden) return;
    if (this.#filter) return empty.replaceChildren(t("live.empty_filter"));
    const first = this.#types[0];
    const event = first ? { type: first.name, payload: first.example } : {};
    const quoted = JSON.stringify(event).replaceAll("'", "'\\''");
    const lines = [
      `curl ${new URL("events", BASE)}`,
      `-H "Authorization: Bearer $TOKEN"`,
      `-H 'Content-Type: application/json'`,
      `-d '${quoted}'`,
    ];
    empty.replaceChildren(el("p", {}, t("live.empty")), el("pre", {}, lines.join(" \\\n  ")));
  }

  // -- rows --------------------------------------------------------------------------------

  #arrived(events) {
    const now = performance.now();
    this.#arrivals.push(...events.map(() => now));
    for (const event of events) this.#queue.push({ ...event, fresh: true });
    if (this.#queue.length > 2 * ROWS) this.#queue = this.#queue.slice(-ROWS);
    this.#drawSoon();
  }

  #drawSoon() {
    if (this.#paused) return this.#showPause();
    if (this.#drawing) return;
    this.#drawing = true;
    // A hidden page gets no frames: the queue waits, never longer than the page can show.
    requestAnimationFrame(() => {
      this.#drawing = false;
      if (!this.#paused) this.#draw();
    });
  }

  #draw() {
    const items = this.#queue.slice(-ROWS).reverse();
    this.#queue = [];
    this.#rows.prepend(...items.map((item) => this.#row(item)));
    while (this.#rows.childElementCount > ROWS) this.#rows.lastChild.remove();
    // One row is reached by Tab, the others from there by arrow keys.
    if (!this.#rows.querySelector(".row[tabindex='0']")) this.#tabStop(this.#rows.querySelector(".row"));
    this.#showEmpty();
    this.#showCount();
  }

  #row(item) {
    if ("gap" in item) return this.#gapRow(item);
    const row = el(
      "button",
      { class: "row", type: "button", tabindex: -1 },
      el("time", { datetime: item.timestamp }, moment(item.timestamp)),
      el("span", { class: `type tone-${toneOf(item.type)}` }, printable(item.type)),
      el("span", { class: "summary" }, summary(item.payload)),
      el("span", { class: "sequence" }, `#${item.sequence}`),
    );
    const node = el("li", { class: item.fresh ? "fresh" : null }, row);
    node.item = item;
    return node;
  }

  #gapRow(item) {
    const text = item.gap === null ? t("gap.row_unknown") : t("gap.row", { n: item.gap });
    const node = el("li", { class: "gap" }, text);
    node.item = item;
    return node;
  }

  #clear() {
    this.#queue = [];
    this.#arrivals = [];
    this.#rows.replaceChildren();
    this.#closeEvent();
    byId("live-empty").hidden = true;
  }

  #tabStop(row) {
    this.#rows.querySelector(".row[tabindex='0']")?.setAttribute("tabindex", "-1");
    row?.setAttribute("tabindex", "0");
  }

  #moved(press) {
    const item = document.activeElement?.closest("#rows > li");
    const all = [...this.#rows.querySelectorAll(".row")];
    const at = all.indexOf(item?.querySelector(".row"));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[press.key];
    if (at < 0 || to === undefined || !all[to]) return;
    press.preventDefault();
    this.#tabStop(all[to]);
    all[to].focus();
    if (this.#open && !NARROW.matches) this.#show(all[to].parentElement);
  }

  // -- one event ---------------------------------------------------------------------------

  #clicked(click) {
    const node = click.target.closest("#rows > li");
    if (!node || "gap" in node.item) return;
    this.#tabStop(node.querySelector(".row"));
    if (node === this.#open) return this.#closeEvent();
    this.#show(node);
    if (NARROW.matches) byId("event-close").focus();
  }

  #show(node) {
    const event = node.item;
    this.#mark(node);
    byId("event").hidden = false;
    byId("event-type").textContent = printable(event.type);
    byId("event-payload").textContent = pretty(event.payload);
    byId("event-facts").replaceChildren(
      ...facts([
        [t("event.time"), moment(event.timestamp, true)],
        [t("event.id"), el("span", { class: "mono" }, event.id)],
        [t("event.sequence"), String(event.sequence)],
        [t("event.key"), event.key && printable(event.key)],
        [t("event.source"), event.source && printable(event.source)],
      ]),
    );
  }

  #closeEvent() {
    const node = this.#open;
    this.#mark(null);
    byId("event").hidden = true;
    if (node?.isConnected) node.querySelector(".row").focus();
  }

  #mark(node) {
    this.#open?.querySelector(".row")?.removeAttribute("aria-current");
    this.#open = node;
    node?.querySelector(".row").setAttribute("aria-current", "true");
  }
}

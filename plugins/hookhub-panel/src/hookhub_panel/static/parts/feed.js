// The events that the panel holds: the last ones of the history, then what happens, without a seam.

import { Hub } from "../../hub.js";
import { BASE, Problem, parse } from "./api.js";

const ROWS = 2_000;
const SLACK = 200; // rows are dropped so many at a time
const BYTES = 24_000_000; // of all payloads' text together
const HISTORY = 200;
const DRAW = 80; // milliseconds between changes that are told of
const RATE_OVER = 10; // seconds
const AGAIN = 1_000;

/**
 * Rows oldest first, each `{key, size, event}` or `{key, size, missed}` (a gap). It tells its
 * listeners of every change, but not more often than a page can be drawn.
 */
export class Feed {
  #api;
  #hub = null;
  #turn = 0; // counts loads: what an older one brings is not wanted any more
  #listeners = new Set();
  #timer = null;
  #gaps = 0;
  #held = new Held(); // what came during a pause
  #bytes = 0;
  #arrivals = [];
  #search = "";
  rows = [];
  shown = []; // the rows that match the search
  added = 0; // rows that were ever appended to `shown`
  events = "";
  where = null;
  sought = ""; // the search as it was written
  paused = false;
  loading = true;
  problem = null;
  state = { name: "connecting" };
  recovered = null; // {events, at}: what the last reconnect brought

  /** `calls`: onEnd(code), when it will not go on; onEvent(event), for each live one. */
  constructor(api, calls) {
    this.#api = api;
    this.calls = calls;
  }

  /** Call `listener` after changes; returns what ends that. */
  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get waiting() {
    return this.#held.rows.filter((row) => row.event).length;
  }

  get rate() {
    const since = performance.now() - RATE_OVER * 1000;
    this.#arrivals = this.#arrivals.filter((time) => time > since);
    return this.#arrivals.length / RATE_OVER;
  }

  close() {
    this.#turn += 1;
    this.#hub?.close();
    clearTimeout(this.#timer);
    this.#listeners.clear();
    this.rows = this.shown = [];
    this.#held = new Held();
  }

  /** The history again and what follows, of these patterns (`a.*,b.c`) and this payload filter. */
  async load(events, where) {
    const turn = (this.#turn += 1);
    this.loading = true;
    this.#tell();
    const page = await this.#history(turn, events, where);
    if (turn !== this.#turn || !page) return;
    this.#hub?.close();
    Object.assign(this, { events, where, loading: false, problem: null, rows: [], shown: [] });
    this.#held = new Held();
    this.#bytes = 0;
    for (const event of page.items) this.#append({ key: event.id, size: sizeOf(event), event });
    this.#follow(page.cursor);
    this.#tell();
  }

  async #history(turn, events, where) {
    const query = { newest: true, limit: HISTORY, events, where: where && JSON.stringify(where) };
    while (turn === this.#turn) {
      try {
        return await this.#api.get("events", query);
      } catch (error) {
        if (turn !== this.#turn) return null;
        if ((error instanceof Problem && error.status < 500) || this.#hub) {
          Object.assign(this, { problem: error, loading: false });
          this.#tell();
          return null;
        }
        this.state = { name: "offline", network: navigator.onLine, retryAt: Date.now() + AGAIN };
        this.#tell();
        await new Promise((resolve) => setTimeout(resolve, AGAIN));
      }
    }
    return null;
  }

  #follow(since) {
    let lived = false;
    const hub = new Hub({
      url: BASE,
      token: this.#api.token,
      events: this.events ? this.events.split(",") : "*",
      where: this.where ?? undefined,
      since,
      parse,
      onEvent: (event) => this.#arrived(event),
      onGap: ({ missed }) => {
        this.#take({ key: `gap-${(this.#gaps += 1)}`, size: 0, missed });
      },
      onResumed: ({ replayed }) => {
        if (lived) this.recovered = { events: replayed, at: Date.now() };
        lived = true;
      },
      onState: (state) => {
        if (hub !== this.#hub) return;
        this.state = state;
        if (state.name === "stopped" && state.code !== "closed") this.calls.onEnd(state.code);
        this.#tell();
      },
    });
    this.#hub = hub;
    this.state = hub.state;
  }

  /** The page knows of the gaps. */
  acknowledge() {
    this.#hub?.acknowledge();
  }

  pause(paused) {
    this.paused = paused;
    if (!paused) {
      const held = this.#held;
      this.#held = new Held();
      // Older rows would stand next to them as if nothing had been between.
      if (held.dropped) Object.assign(this, { rows: [], shown: [] });
      if (held.dropped) this.#bytes = 0;
      for (const row of held.rows) this.#append(row);
    }
    this.#tell();
  }

  search(text) {
    this.sought = text;
    this.#search = text.trim().toLowerCase();
    this.shown = this.#search ? this.rows.filter((row) => this.#matches(row)) : this.rows;
    this.#tell();
  }

  #matches({ event }) {
    if (!event) return true;
    const text = `${event.type} ${event.id} #${event.sequence} ${event.key ?? ""} ${event.source ?? ""} `;
    return (text + JSON.stringify(event.payload)).toLowerCase().includes(this.#search);
  }

  #arrived(event) {
    this.#arrivals.push(performance.now());
    if (this.#arrivals.length > 20_000) this.#arrivals = this.#arrivals.slice(-10_000);
    this.#take({ key: event.id, size: sizeOf(event), event, at: performance.now() });
  }

  #take(row) {
    if (this.paused) this.#held.push(row);
    else this.#append(row);
    this.#tell();
  }

  #append(row) {
    this.rows.push(row);
    this.#bytes += row.size;
    if (!this.#search) this.shown = this.rows;
    if (!this.#search || this.#matches(row)) this.added += 1;
    if (this.#search && this.#matches(row)) this.shown.push(row);
    if (isFull(this.rows, this.#bytes)) this.#trim();
  }

  #trim() {
    const gone = new Set(dropOldest(this.rows, this.#bytes));
    for (const row of gone) this.#bytes -= row.size;
    if (this.shown !== this.rows) this.shown = this.shown.filter((row) => !gone.has(row));
  }

  #tell() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      for (const listener of [...this.#listeners]) listener();
    }, DRAW);
  }
}

/** The rows of a pause: no more than the list itself would hold. */
class Held {
  rows = [];
  dropped = false;
  #bytes = 0;

  push(row) {
    this.rows.push(row);
    this.#bytes += row.size;
    if (!isFull(this.rows, this.#bytes)) return;
    for (const gone of dropOldest(this.rows, this.#bytes)) this.#bytes -= gone.size;
    this.dropped = true;
  }
}

const isFull = (rows, bytes) => rows.length > ROWS + SLACK || (bytes > BYTES && rows.length > 1);

/** Takes the oldest rows out, as many as there are too many, and gives them. */
function dropOldest(rows, bytes) {
  let drop = 0;
  while (drop < rows.length - 1 && (rows.length - drop > ROWS || bytes > BYTES)) bytes -= rows[drop++].size;
  return rows.splice(0, drop);
}

// An estimate that costs little: texts are what makes payloads large.
function sizeOf({ payload }) {
  let size = 200;
  for (const value of Object.values(payload)) {
    if (typeof value === "string") size += value.length;
    else if (value !== null && typeof value === "object") size += JSON.stringify(value).length;
    else size += 10;
  }
  return size;
}

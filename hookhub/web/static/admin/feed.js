// The live feed: history and live events as one, over the WebSocket, or by pages without it.

import { BASE, Problem, parse } from "./api.js";

const POLL = 2_000;
const POLL_REFUSED = 60_000; // then the WebSocket is tried again
const SILENCE = 25_000; // then the hub is asked whether it is there
const ANSWER = 8_000; // how long its answer may take
const WATCH = 2_000;
const RETRY = [500, 15_000]; // first and longest wait between attempts, in milliseconds
const REFUSALS = 3; // connections in a row that never got as far as the first message
const OFFLINE = 4; // failures in a row after which "reconnecting" would be too hopeful

const PASSING = new Set([408, 429]); // refusals that are worth another try
// The token is of no more use (see docs/live-feed.md).
const GONE = { 4201: "expired", 4502: "revoked" };

/**
 * Events after a cursor, each once and in order, for as long as it runs.
 *
 * It calls `onEvents(list)`, `onGap(missed)` (null: unknown), `onState(state)` and `onEnd(why)`
 * ("expired", "revoked", or a Problem: it will not go on). `state.name` is one of "connecting",
 * "catching_up", "live", "polling", "reconnecting", "offline".
 */
export class Feed {
  #api;
  #cursor;
  #filter;
  #calls;
  #sequence = 0;
  #failures = 0;
  #refusals = 0;
  #refusal = "";
  #stopped = false;
  #wake = () => {};
  #look = () => {};
  #dropped = false; // whether there was a connection before

  constructor(api, cursor, filter, calls) {
    this.#api = api;
    this.#cursor = cursor;
    this.#filter = filter;
    this.#calls = calls;
  }

  start() {
    this.#run();
  }

  stop() {
    this.#stopped = true;
    this.#wake();
    this.#look();
  }

  /** Something changed (the network is back, the page is seen again): find out now. */
  poke() {
    this.#wake();
    this.#look();
  }

  async #run() {
    this.#state("connecting");
    while (!this.#stopped) {
      let wait = null;
      try {
        wait = await this.#once();
      } catch (error) {
        if (this.#stopped) return;
        if (error instanceof Problem && error.status < 500 && !PASSING.has(error.status)) {
          this.#calls.onEnd(error);
          return;
        }
      }
      if (!this.#stopped) await this.#pause(wait);
    }
  }

  /** One connection, or one time of polling. Returns milliseconds to wait; null for the usual. */
  async #once() {
    if (this.#refusals >= REFUSALS) {
      await this.#poll("refused", performance.now() + POLL_REFUSED);
      this.#refusals = 0;
      return 0;
    }
    let ticket;
    try {
      ({ ticket } = await this.#api.call("POST", "ws/ticket"));
    } catch (error) {
      if (error.status !== 404) throw error;
      await this.#poll("no_plugin", Infinity);
      return 0;
    }
    if (this.#stopped) return 0;
    const end = await this.#connect(ticket);
    if (this.#stopped) return 0;
    if (end.code in GONE) {
      this.#stopped = true;
      this.#calls.onEnd(GONE[end.code]);
      return 0;
    }
    if (!end.greeted) {
      this.#refusals += 1;
      this.#refusal = end.reason;
    }
    return end.wait ?? (end.code === 1013 ? 5_000 : null);
  }

  // -- the WebSocket -----------------------------------------------------------------------

  #connect(ticket) {
    const url = new URL("ws", BASE);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("ticket", ticket);
    url.searchParams.set("since", this.#cursor);
    if (this.#filter) url.searchParams.set("events", this.#filter);
    return new Promise((resolve) => {
      const ws = new WebSocket(url);
      const link = { greeted: false, wait: null, heard: performance.now(), asked: 0 };
      const finish = (code, reason) => {
        clearInterval(watch);
        this.#look = () => {};
        ws.onmessage = ws.onclose = null;
        resolve({ ...link, code, reason });
      };
      const look = (silence) => {
        const now = performance.now();
        if (this.#stopped) {
          ws.close(1000);
          finish(1000, "");
        } else if (link.asked > link.heard && now - link.asked > ANSWER) {
          // A dead link never answers a close, either: do not wait for it.
          ws.close();
          finish(1006, "");
        } else if (link.asked <= link.heard && now - link.heard > silence) {
          link.asked = now;
          if (ws.readyState === WebSocket.OPEN) ws.send('{"type": "ping"}');
        }
      };
      const watch = setInterval(() => look(SILENCE), WATCH);
      this.#look = () => look(0);
      ws.onmessage = (message) => {
        link.heard = performance.now();
        this.#hear(parse(message.data), link);
      };
      ws.onclose = (close) => finish(close.code, close.reason);
    });
  }

  #hear(message, link) {
    if (message.type.includes(".")) {
      this.#cursor = message.cursor;
      this.#deliver([message]);
    } else if (message.type === "connection") {
      link.greeted = true;
      this.#failures = this.#refusals = 0;
      this.#state("catching_up");
    } else if (message.type === "resumed") {
      this.#state("live", { recovered: this.#dropped ? message.replayed : 0 });
      this.#dropped = true;
    } else if (message.type === "gap") {
      this.#gap(message.missed, message.cursor);
      this.#state("live");
      this.#dropped = true;
    } else if (message.type === "restarting") {
      link.wait = message.retry_after * 1000;
    }
  }

  // -- pages -------------------------------------------------------------------------------

  async #poll(reason, until) {
    while (!this.#stopped && performance.now() < until) {
      const query = { after: this.#cursor, limit: 200, events: this.#filter };
      const page = await this.#api.get("events", query);
      if (this.#stopped) return;
      this.#failures = 0;
      this.#state("polling", { reason, detail: this.#refusal });
      if (page.gap) this.#gap(page.gap.missed, page.cursor);
      this.#deliver(page.items);
      this.#cursor = page.cursor;
      if (!page.has_more) await this.#sleep(POLL);
    }
  }

  // -- both --------------------------------------------------------------------------------

  #deliver(events) {
    const fresh = events.filter((event) => event.sequence > this.#sequence);
    if (fresh.length === 0 || this.#stopped) return;
    this.#sequence = fresh.at(-1).sequence;
    this.#calls.onEvents(fresh);
  }

  #gap(missed, cursor) {
    this.#cursor = cursor;
    if (missed === null) this.#sequence = 0; // another database counts anew
    this.#calls.onGap(missed);
  }

  #state(name, more = {}) {
    if (!this.#stopped) this.#calls.onState({ name, ...more });
  }

  async #pause(wait) {
    if (wait === 0) return;
    this.#failures += 1;
    const [first, longest] = RETRY;
    const usual = Math.min(longest, first * 2 ** (this.#failures - 1)) * (0.5 + Math.random() / 2);
    const time = wait ?? usual;
    const away = !navigator.onLine || this.#failures > OFFLINE;
    const retryAt = Date.now() + time;
    this.#state(away ? "offline" : "reconnecting", { network: navigator.onLine, retryAt });
    await this.#sleep(time);
  }

  #sleep(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

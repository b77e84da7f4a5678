/**
 * The live feed of a hookhub in the browser: ES modules, no dependencies, no build step.
 *
 *     import { Hub } from "https://hub.example.org/hub.js";
 *     const hub = new Hub({ token });
 *     hub.on("user.*", (event) => console.log(event.type, event.payload));
 *     hub.on("state", (state) => console.log(state.name));
 *
 * docs/hub-js.md is the manual, hub.d.ts has the types. Below this: hub/crew.js (the tabs of a
 * browser share one line), hub/line.js (reconnects for ever), hub/link.js (one WebSocket or one
 * event stream), hub/places.js (places in the history, patterns).
 */

import { Crew } from "./hub/crew.js";
import { checked, isBefore, matcher, place } from "./hub/places.js";

/** Milliseconds; `timing` of the options changes them. */
const TIMING = {
  ping: 25_000, // of silence, then the hub is asked whether it is there
  pong: 8_000, // that its answer may take
  poke: 3_000, // the same, when there is a reason to doubt the connection
  open: 15_000, // until a new connection must have said its first word
  first: 500, // the longest wait before the first new attempt; doubled for each one more
  longest: 30_000, // the longest wait at all
  full: 5_000, // the shortest wait when the hub has no room for us
  steady: 5_000, // a connection that lived so long ends a row of failures
  socket: 120_000, // on an event stream: until the WebSocket is tried again
  leader: 4_000, // of silence, then the tab with the socket is asked; and that it may take
  tick: 1_000, // between looks at the clock
  sleep: 90_000, // without a tick: the machine was asleep (browsers slow ticks down to a minute)
};
const QUEUE = 10_000; // events that an iterator holds for a slow reader
const LIFE = ["state", "gap", "resumed", "error"];

// Of this tab alone. Workers and some private windows have none: there a reload begins at now.
const kept = {
  load(key) {
    try {
      return sessionStorage.getItem(key);
    } catch {
      return null;
    }
  },
  save(key, value) {
    try {
      sessionStorage.setItem(key, value);
    } catch {
      // As above.
    }
  },
};

/** Why a hub has stopped, or why an iterator cannot go on. */
export class HubError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "HubError";
    this.code = code;
  }
}

export class Hub {
  #options;
  #timing;
  #patterns;
  #match;
  #handlers = new Map(); // names and patterns to {match, calls}
  #queues = new Set(); // of iterators
  #place;
  #crew = null;
  #base = { name: "connecting", transport: null, attempt: 0, network: true };
  #state = { name: "connecting" };
  #missed = 0; // of gaps that nobody has acknowledged; null if unknown
  #gone = false; // whether there was one
  #replayed = 0;
  #chosen = []; // resolvers of subscribe()
  #catching = false; // up with a cursor that it came with
  #lived = false;
  #leave = new AbortController();

  /** See hub.d.ts or docs/hub-js.md for the options. */
  constructor(options = {}) {
    const { token, getTicket, events = "*", since, persist } = options;
    if (!token === !getTicket) throw new TypeError("new Hub() needs a token or getTicket()");
    if (since && !place(since)) throw new TypeError(`${JSON.stringify(since)} is no cursor`);
    const base = new URL(options.url ?? new URL(".", import.meta.url), globalThis.location?.href);
    if (!base.pathname.endsWith("/")) base.pathname += "/";
    base.search = base.hash = "";
    this.#options = { parse: JSON.parse, ...options, url: base };
    this.#timing = { ...TIMING, ...options.timing };
    this.#choose(checked(events));
    this.#place = place(since) ?? (persist ? place(kept.load(persist)) : null);
    this.#catching = this.#place !== null;
    for (const name of [...LIFE, "event"]) {
      const call = options[`on${name[0].toUpperCase()}${name.slice(1)}`];
      if (call) this.on(name === "event" ? "*" : name, call);
    }
    this.#listen();
    this.#start();
  }

  /** The place after the last event that was handed over. */
  get cursor() {
    return this.#place?.cursor ?? null;
  }

  get state() {
    return this.#state;
  }

  /** The patterns that are subscribed. */
  get events() {
    return [...this.#patterns];
  }

  /** Call `handler` for events whose type matches, or for "state", "gap", "resumed", "error". */
  on(name, handler) {
    const match = LIFE.includes(name) ? () => false : matcher(checked(name));
    const entry = this.#handlers.get(name) ?? { match, calls: new Set() };
    this.#handlers.set(name, entry);
    entry.calls.add(handler);
    return () => this.off(name, handler);
  }

  off(name, handler) {
    this.#handlers.get(name)?.calls.delete(handler);
  }

  /** Get these events, too, from now on; resolves when the hub has understood. */
  subscribe(...patterns) {
    return this.#change([...this.#patterns, ...checked(patterns.flat())]);
  }

  unsubscribe(...patterns) {
    const gone = checked(patterns.flat());
    return this.#change(this.#patterns.filter((item) => !gone.includes(item)));
  }

  /** The page knows of the gaps so far, and has read anew what it shows. */
  acknowledge() {
    this.#gone = false;
    this.#missed = 0;
    this.#show();
  }

  close() {
    this.#stop("closed", "close() was called");
  }

  /** Events from now on, until close(); throws HubError if the hub stops, or the reader is slow. */
  [Symbol.asyncIterator]() {
    const queue = { events: [], error: null, done: false, wake: () => {} };
    this.#queues.add(queue);
    if (this.#state.name === "stopped") this.#end(queue, this.#whyStopped());
    return {
      next: async () => {
        while (queue.events.length === 0 && !queue.done) {
          await new Promise((resolve) => (queue.wake = resolve));
        }
        if (queue.events.length) return { value: queue.events.shift(), done: false };
        if (queue.error) throw queue.error;
        return { value: undefined, done: true };
      },
      return: async () => {
        this.#queues.delete(queue);
        return { value: undefined, done: true };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  // -- the connection ----------------------------------------------------------------------

  async #start() {
    const { share = true, url } = this.#options;
    const identity = await this.#identity();
    if (this.#state.name === "stopped") return;
    const where = this.#options.where ? JSON.stringify(this.#options.where) : "";
    const shared = share && identity && globalThis.navigator?.locks && globalThis.BroadcastChannel;
    const name = shared ? `hookhub ${url} ${identity} ${where}` : null;
    const hub = this;
    this.#crew = new Crew(name, this.#options, this.#timing, {
      get events() {
        return hub.events;
      },
      get cursor() {
        return hub.cursor;
      },
      welcome: (cursor, state) => this.#welcome(cursor, state),
      frame: (text) => this.#frame(this.#options.parse(text)),
      state: (state) => this.#became(state),
      stop: (code, reason) => this.#stop(code, reason),
    });
  }

  /** Whose events these are: only who comes with the same may share a connection. */
  async #identity() {
    const { token, identity } = this.#options;
    if (identity !== undefined) return String(identity);
    if (typeof token !== "string" || !crypto.subtle) return null;
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
    return Array.from(new Uint8Array(digest).slice(0, 12), (byte) => byte.toString(16)).join("-");
  }

  #listen() {
    const { signal } = this.#leave;
    const on = (target, names, call) => {
      for (const name of names) target?.addEventListener?.(name, call, { signal });
    };
    const page = globalThis.document;
    on(globalThis, ["online", "offline"], () => this.#crew?.poke());
    on(page, ["visibilitychange"], () => page.hidden || this.#crew?.poke());
    // A page that does not run must not hold what others wait for.
    on(page, ["freeze"], () => this.#crew?.stop());
    on(globalThis, ["pagehide"], () => this.#crew?.stop());
    on(page, ["resume"], () => this.#crew?.start());
    on(globalThis, ["pageshow"], () => this.#crew?.start());
  }

  #choose(patterns) {
    this.#patterns = [...new Set(patterns)];
    this.#match = matcher(this.#patterns);
  }

  #change(patterns) {
    this.#choose(patterns);
    if (this.#state.name === "stopped") return Promise.resolve();
    const understood = new Promise((resolve) => this.#chosen.push(resolve));
    this.#crew?.choose();
    return understood;
  }

  #welcome(cursor, state) {
    this.#place ??= place(cursor);
    for (const resolve of this.#chosen.splice(0)) resolve();
    if (state.name === "live") {
      this.#sameHistory(cursor);
      if (this.#catching) this.#resumed();
    }
    this.#became(state);
  }

  #stop(code, reason) {
    if (this.#state.name === "stopped") return;
    this.#leave.abort();
    this.#base = { ...this.#base, name: "stopped", transport: null, code, reason };
    this.#show();
    this.#crew?.stop();
    for (const resolve of this.#chosen.splice(0)) resolve();
    for (const queue of this.#queues) this.#end(queue, this.#whyStopped());
  }

  #whyStopped() {
    const { code, reason } = this.#state;
    return code === "closed" ? null : new HubError(code, reason);
  }

  // -- what comes --------------------------------------------------------------------------

  #frame(frame) {
    if (this.#state.name === "stopped") return;
    if (frame.type.includes(".")) this.#event(frame);
    else if (frame.type === "gap") this.#gap(frame.missed, frame.cursor);
    else if (frame.type === "error") this.#emit("error", frame);
    else if (frame.cursor) this.#advance(place(frame.cursor));
    if (frame.type === "resumed") this.#resumed();
  }

  #event(event) {
    const ephemeral = event.sequence === undefined;
    if (!ephemeral) {
      this.#sameHistory(event.cursor, 1);
      if (this.#place && event.sequence <= this.#place.sequence) return; // seen
    }
    if (this.#match(event.type, ephemeral)) {
      if (!ephemeral) this.#replayed += 1;
      for (const { match, calls } of this.#handlers.values()) {
        if (match(event.type)) this.#call(calls, event);
      }
      for (const queue of this.#queues) this.#enqueue(queue, event);
    }
    if (!ephemeral) this.#advance(place(event.cursor));
  }

  #advance(to) {
    if (this.#state.name === "stopped" || (this.#place && !isBefore(this.#place, to))) return;
    this.#settle(to);
  }

  #settle(to) {
    this.#place = to;
    if (this.#options.persist) kept.save(this.#options.persist, to.cursor);
  }

  /** The tabs that share a line hear of every gap; each knows whether it is one for itself. */
  #gap(missed, cursor) {
    const to = place(cursor);
    const from = this.#place;
    if (from && missed !== null && !isBefore(from, to)) return;
    this.#settle(to);
    if (!from) return;
    const number = missed === null ? null : Math.min(missed, to.sequence - from.sequence);
    this.#missed = number === null || this.#missed === null ? null : this.#missed + number;
    this.#gone = true;
    this.#catching = false;
    this.#emit("gap", { missed: number, cursor });
    this.#show();
  }

  /** Places of another epoch (the database went back) say nothing here: who knows what is between? */
  #sameHistory(cursor, next = 0) {
    const to = place(cursor);
    if (!to || !this.#place || to.epoch === this.#place.epoch) return;
    const before = `${to.epoch}-${(to.sequence - next).toString(16)}`;
    this.#gap(null, before);
  }

  #resumed() {
    this.#catching = false;
    this.#emit("resumed", { replayed: this.#replayed });
    this.#replayed = 0;
  }

  // -- what the page is told ---------------------------------------------------------------

  #became(state) {
    const again = state.name === "connecting" && this.#lived;
    if (state.name === "live") this.#lived = true;
    if (state.name === "lagging") this.#replayed = 0;
    this.#base = again ? { ...state, name: "reconnecting" } : state;
    this.#show();
  }

  #show() {
    const state = { ...this.#base, leads: this.#crew?.leads ?? false };
    if (this.#gone && state.name === "live") state.name = "gap";
    if (this.#gone) state.missed = this.#missed;
    if (JSON.stringify(state) === JSON.stringify(this.#state)) return;
    this.#state = state;
    this.#emit("state", state);
  }

  #emit(name, value) {
    this.#call(this.#handlers.get(name)?.calls ?? [], value);
  }

  #call(calls, value) {
    for (const call of [...calls]) {
      try {
        call(value);
      } catch (error) {
        // A mistake of one handler is not the others' loss.
        setTimeout(() => {
          throw error;
        });
      }
    }
  }

  #enqueue(queue, event) {
    if (queue.done) return;
    queue.events.push(event);
    if (queue.events.length > QUEUE) {
      const rest = "go on from the last event's cursor with `since`";
      this.#end(queue, new HubError("too_slow", `${QUEUE} events wait to be read; ${rest}`));
    }
    queue.wake();
  }

  #end(queue, error) {
    queue.done = true;
    queue.error = error;
    this.#queues.delete(queue);
    queue.wake();
  }
}

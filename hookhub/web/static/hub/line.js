// One connection after another.

import { Socket, Stream, problemOf } from "./link.js";

const REFUSALS = 2; // failed handshakes in a row after which a proxy is to blame, not the hub
const FAILURES = 4; // attempts in a row after which "reconnecting" would be too hopeful
const CLOSED_FOR_GOOD = { 4201: "expired", 4410: "dismissed", 4502: "revoked" };
const PASSING = new Set([408, 425, 429]); // refusals that are worth another try

const fullJitter = (attempt, { first, longest }) =>
  Math.random() * Math.min(longest, first * 2 ** Math.min(attempt, 30));

/**
 * Keeps a connection open until it is closed or the hub says that there is no use.
 *
 * `host.plan()` says what to ask for (`{events, cursor, …}`); it is told `greeted(plan, cursor)`,
 * `frame(frame, text)`, `state(state)` and `stop(code, reason)`.
 */
export class Line {
  #options;
  #timing;
  #host;
  #link = null;
  #stopped = false;
  #attempt = 0;
  #refused = 0; // refusals of what we came with, in a row
  #unopened = 0; // attempts in a row that did not get as far as a WebSocket
  #streaming = false;
  #trying = false; // to get from an event stream back to the WebSocket
  #choice = 0;
  #choices = new Map(); // ids of messages to what is to be done when they are answered
  #wake = () => {};

  constructor(options, timing, host) {
    this.#options = options;
    this.#timing = timing;
    this.#host = host;
    this.#run();
  }

  get greeted() {
    return this.#link?.greeted ?? false;
  }

  close() {
    this.#stopped = true;
    this.#wake();
    this.#link?.finish({});
  }

  /** Connect anew, at once: there is something else to ask for. */
  again() {
    this.#wake();
    if (this.#link?.greeted) this.#state("reconnecting", { transport: null });
    this.#link?.finish({ again: true });
  }

  /** There is a reason to doubt the connection, or to hope for one: find out now. */
  poke() {
    this.#wake();
    this.#link?.poke();
  }

  look(jumped, asleep) {
    if (asleep) return this.again();
    if (this.#stopped || !this.#link) return;
    this.#link.look(jumped);
    const { kind, began } = this.#link;
    if (kind === "sse" && performance.now() - began > this.#timing.socket) this.#backToSocket();
  }

  /** Change what is subscribed from now on; `done` is called when the hub has understood. */
  choose(events, done) {
    const { plan, kind } = this.#link;
    const added = events.filter((item) => !plan.events.includes(item));
    if (kind === "sse") return added.length ? this.again() : done();
    const removed = plan.events.filter((item) => !events.includes(item));
    plan.events = events;
    if (added.length) {
      this.#choices.set((this.#choice += 1), done);
      const { where } = this.#options;
      this.#link.send({ type: "subscribe", events: added, where, id: this.#choice });
    }
    // Afterwards, so that at no time less is subscribed than somebody wants.
    if (removed.length) this.#link.send({ type: "unsubscribe", events: removed });
    if (added.length === 0) done();
  }

  /** What the open connection has subscribed. */
  get events() {
    return this.#link.plan.events;
  }

  async #run() {
    this.#state("connecting");
    while (!this.#stopped) {
      const end = await this.#connect();
      this.#choices.clear();
      if (cameNowhere(end)) end.reachable = await this.#reachable();
      if (this.#stopped) break;
      const wait = this.#judge(end);
      if (this.#stopped) break;
      if (wait > 0) await this.#pause(wait, end);
    }
  }

  async #connect() {
    try {
      const { transport } = this.#options;
      const refused = this.#unopened >= REFUSALS && transport !== "websocket";
      this.#streaming = refused || transport === "sse";
      const access = await this.#access();
      if (this.#stopped) return {};
      this.#link = this.#open(access);
      let end;
      for (let link = null; link !== this.#link; ) {
        link = this.#link;
        end = await link.end;
      }
      return end;
    } catch (error) {
      return error.end ?? { error, reason: String(error) };
    } finally {
      this.#link = null;
    }
  }

  /** What opens a connection: a one-time ticket, or for the event stream the token itself. */
  async #access() {
    const { getTicket, token } = this.#options;
    if (getTicket) {
      const given = await within(2 * this.#timing.open, getTicket());
      const ticket = given?.ticket ?? given;
      if (typeof ticket === "string" && ticket) return { ticket };
      throw fatal("refused", "getTicket() gave no ticket");
    }
    const given = typeof token === "function" ? token() : token;
    const current = await within(2 * this.#timing.open, given);
    if (!current) throw fatal("refused", "there is no token");
    const headers = { Authorization: `Bearer ${current}` };
    if (this.#streaming) return { headers };
    const { open, poke } = this.#timing;
    const response = await fetch(new URL("ws/ticket", this.#options.url), {
      ...{ method: "POST", headers, cache: "no-store", credentials: "omit" },
      // Short at first: it may have got onto an old connection that is as dead as the WebSocket.
      signal: AbortSignal.timeout(Math.min(open, poke * 2 ** this.#attempt)),
    });
    if (response.ok) return { ticket: (await response.json()).ticket };
    const end = await problemOf(response);
    if (end.status !== 404) throw Object.assign(new Error(end.reason), { end });
    this.#streaming = true; // a hub without the WebSocket
    return { headers };
  }

  #open({ ticket, headers }, kind = this.#streaming ? "sse" : "websocket") {
    const plan = this.#host.plan();
    const sse = kind === "sse";
    const url = new URL(sse ? "events/stream" : "ws", this.#options.url);
    const { where } = this.#options;
    const query = {
      ...{ ticket, [sse ? "after" : "since"]: plan.cursor, events: plan.events.join(",") },
      where: where && JSON.stringify(where),
    };
    for (const [name, value] of Object.entries(query)) if (value) url.searchParams.set(name, value);
    const hear = (link, text, place) => this.#hear(link, text, place);
    return sse
      ? new Stream(url, headers, plan, this.#timing, hear)
      : new Socket(url, plan, this.#timing, hear);
  }

  async #backToSocket() {
    if (this.#trying || this.#options.transport === "sse") return;
    this.#trying = true;
    const stream = this.#link;
    stream.began = performance.now(); // of the time until the next try
    try {
      this.#streaming = false;
      const access = await this.#access();
      if (this.#streaming || this.#link !== stream) return;
      const spare = this.#open(access, "websocket");
      spare.replaces = stream;
      const timer = setTimeout(() => spare.finish({}), this.#timing.open);
      // Its greeting takes over; see #hear. Until then the stream goes on.
      const end = spare.end.then(() => clearTimeout(timer));
      await Promise.race([end, stream.end]);
      if (this.#link !== spare) spare.finish({});
    } catch {
      // Still no WebSocket: the stream serves.
    } finally {
      this.#trying = false;
    }
  }

  /** `place`: the id of a message in an event stream, the cursor up to which all was sent. */
  #hear(link, text, place) {
    const frame = JSON.parse(text);
    if (place && !frame.cursor) text = JSON.stringify(Object.assign(frame, { cursor: place }));
    if (frame.type === "connection") {
      const before = this.#link;
      if (before !== link && before !== link.replaces) return link.finish({});
      this.#link = link;
      link.greeted = link.opened = true;
      if (before !== link) before.finish({});
      if (link.kind === "websocket") this.#unopened = 0;
      this.#host.greeted(link.plan, frame.cursor);
      this.#state(link.plan.cursor ? "lagging" : "live");
      return;
    }
    if (link !== this.#link) return;
    if (frame.type === "restarting") link.wait = frame.retry_after * 1000;
    else if (frame.type === "closing") link.finish({ code: frame.code, reason: frame.reason });
    else if (frame.type !== "pong" && frame.type !== "subscribed") this.#host.frame(frame, text);
    this.#choices.get(frame.id)?.();
    this.#choices.delete(frame.id);
    if (frame.type === "resumed" || frame.type === "gap") this.#state("live");
  }

  /** Whether the hub's server answers at all, whatever it says. */
  async #reachable() {
    try {
      await fetch(new URL("hub.js", this.#options.url), {
        ...{ method: "HEAD", mode: "no-cors", cache: "no-store", credentials: "omit" },
        signal: AbortSignal.timeout(this.#timing.poke),
      });
      return true;
    } catch {
      return false;
    }
  }

  /** Milliseconds to wait after an end; or it stops. */
  #judge(end) {
    if (end.again) return 0;
    if (end.stop) return this.#stop(end.stop, end.reason);
    if (end.lasted > this.#timing.steady) this.#attempt = this.#refused = 0;
    if (end.reachable) this.#unopened += 1;
    else if (end.kind === "sse") this.#unopened = end.greeted ? REFUSALS : 0;
    else if (end.opened) this.#unopened = 0;
    const refusal = refusalIn(end);
    if (refusal) {
      this.#refused += 1;
      const again = this.#refused < REFUSALS && this.#canRenew(end);
      return again ? 0 : this.#stop(refusal, end.reason);
    }
    const usual = fullJitter(this.#attempt, this.#timing);
    this.#attempt += 1;
    if (end.code === 1013 && end.reason.startsWith("Full")) return this.#timing.full + usual;
    return end.wait ?? usual;
  }

  /** Whether there may be other credentials: a ticket was too old, a token expired. */
  #canRenew({ code, status }) {
    const { getTicket, token } = this.#options;
    if (code === undefined && ![401, 403].includes(status)) return false;
    return code !== 4410 && (getTicket || typeof token === "function" || code === 1008);
  }

  #stop(code, reason) {
    this.#stopped = true;
    this.#host.stop(code, reason || code);
  }

  async #pause(time, { code, reason }) {
    const away = navigator.onLine === false || this.#attempt > FAILURES;
    const more = { retryAt: Date.now() + time, code, reason: reason || undefined };
    this.#state(away ? "offline" : "reconnecting", more);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, time);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => {};
  }

  #state(name, more) {
    if (this.#stopped) return;
    const transport = this.#link?.greeted ? this.#link.kind : null;
    const network = navigator.onLine !== false;
    this.#host.state({ name, transport, attempt: this.#attempt, network, ...more });
  }
}

/**
 * Whether it ended before there was a WebSocket. The hub may be away then, or something in between
 * know no WebSocket; or there are no tickets, which a page of another origin is not told, either.
 */
const cameNowhere = ({ kind, opened, error, again }) =>
  !again && (kind === "websocket" ? !opened : !kind && error instanceof TypeError);

/** Why there is no use in coming back, if so. */
function refusalIn({ code, status, reason }) {
  if (code === 1008) return reason.startsWith("Unauthorized") ? "refused" : null;
  if (code !== undefined) return CLOSED_FOR_GOOD[code];
  return status >= 400 && status < 500 && !PASSING.has(status) ? "refused" : null;
}

/** What the page's own functions promise; they may hang for ever. */
async function within(milliseconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("no credentials in time")), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const fatal = (stop, reason) => Object.assign(new Error(reason), { end: { stop, reason } });

// The tabs of a browser share one line.

import { Line } from "./line.js";
import { isBefore, place } from "./places.js";

const CONNECTING = { name: "connecting", transport: null, attempt: 0, network: true };
const HEARD = 500; // milliseconds in which the others hear why it is over
const MAX_PATTERNS = 80; // more are "*": every tab chooses for itself anyway

/**
 * One of the tabs that share a line. The one that holds a Web Lock is the leader: it has the line,
 * asks for what any of them wants, and tells the others what it hears, on a BroadcastChannel.
 *
 * Each tab has a place of its own in the history, and drops what it has seen. It takes part in
 * the leader's stream from the "welcome" on, which says that everything after its place follows;
 * messages are numbered, so that a tab that missed one (it was frozen) sees that, and joins again.
 * If a tab joins from further back than the line is, the line connects anew from there.
 */
export class Crew {
  #name;
  #options;
  #timing;
  #tab;
  #channel = null;
  #id = crypto.getRandomValues(new Uint32Array(2)).join("-");
  #line = null;
  #members = new Map(); // of the leader: id to {events, cursor, ready}
  #position = null; // of the leader: up to where everything was told
  #state = CONNECTING;
  #term = 0; // of the leader that is followed; a later one is higher
  #number = 0; // of the last message in this term
  #aboard = false;
  #heard = performance.now();
  #asked = null;
  #release = null;
  #queue = null;
  #ticked = Date.now();
  #timer = null;
  #patience; // of its own for each tab: one is the first to act

  /** `tab`: {events, cursor, welcome(cursor), frame(frame, text), state(state), stop(…)}. */
  constructor(name, options, timing, tab) {
    this.#name = name;
    this.#options = options;
    this.#timing = timing;
    this.#tab = tab;
    this.#patience = timing.leader * (1 + Math.random());
    this.start();
  }

  start() {
    if (this.#timer) return;
    this.#ticked = Date.now();
    this.#tab.state(this.#state);
    this.#timer = setInterval(() => this.#tick(), this.#timing.tick);
    if (this.#name === null) return this.#lead();
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#receive(data);
    this.#compete();
    this.#join(this.#tab.cursor);
  }

  /** Let go of everything, at once: somebody else takes over. `start` comes back. */
  stop() {
    clearInterval(this.#timer);
    this.#timer = null;
    this.#aboard = false;
    this.#state = CONNECTING;
    this.#say({ kind: "leave", from: this.#id });
    this.#resign();
    this.#queue?.abort();
    this.#channel?.close();
    this.#channel = null;
  }

  get leads() {
    return this.#line !== null;
  }

  poke() {
    if (this.#line) this.#line.poke();
    else this.#say({ kind: "poke" });
  }

  /** The tab wants other events, from now on. */
  choose() {
    this.#join(this.#aboard ? null : this.#tab.cursor);
  }

  #say(message) {
    this.#channel?.postMessage(message);
  }

  // -- who leads ---------------------------------------------------------------------------

  async #compete(steal = false) {
    this.#queue?.abort();
    const queue = (this.#queue = new AbortController());
    const options = steal ? { steal: true } : { signal: queue.signal };
    let granted = false;
    try {
      await navigator.locks.request(this.#name, options, () => {
        granted = true;
        if (queue.signal.aborted) return null;
        this.#lead();
        return new Promise((resolve) => (this.#release = resolve));
      });
    } catch {
      if (queue.signal.aborted) return; // not wanted any more
      if (granted) this.#deposed(); // stolen: this tab was taken for frozen
      else this.#goAlone(); // no locks for this page: it is sandboxed
    }
  }

  #goAlone() {
    this.#name = null;
    this.#channel.close();
    this.#channel = null;
    this.#lead();
  }

  #lead() {
    this.#term = Math.max(Date.now(), this.#term + 1) + Math.random();
    this.#number = 0;
    this.#aboard = false;
    this.#position = null;
    this.#members.clear();
    this.#tell({ kind: "lead" });
    const { events, cursor } = this.#tab;
    this.#members.set(this.#id, { events, cursor, ready: false });
    this.#line = new Line(this.#options, this.#timing, {
      plan: () => this.#plan(),
      greeted: (plan, cursor) => this.#greeted(plan, cursor),
      frame: (frame, text) => this.#frame(frame, text),
      state: (state) => this.#tell({ kind: "state", state }),
      stop: (code, reason) => this.#end(code, reason),
    });
  }

  #resign() {
    this.#line?.close();
    this.#line = null;
    this.#release?.();
    this.#release = null;
  }

  /** The hub wants none of us: nobody shall get the lock, and try, before it has heard that. */
  #end(code, reason) {
    const release = this.#release;
    this.#release = null;
    if (release) setTimeout(release, HEARD);
    this.#tell({ kind: "stop", code, reason });
  }

  #deposed() {
    if (!this.#timer) return;
    this.#resign();
    this.#aboard = false;
    this.#compete();
    this.#join(this.#tab.cursor); // if there is a new leader already: it has heard nothing of us
  }

  // -- leading -----------------------------------------------------------------------------

  #plan() {
    const members = [...this.#members.values()];
    let start = this.#position;
    for (const { ready, cursor } of members) {
      const from = ready ? null : place(cursor);
      if (from && (!start || isBefore(from, start))) start = from;
    }
    const ids = [...this.#members.keys()];
    return { events: this.#wanted(), cursor: start?.cursor ?? null, ids };
  }

  #wanted() {
    const all = new Set([...this.#members.values()].flatMap((member) => member.events));
    if (all.size <= MAX_PATTERNS) return [...all].sort();
    return ["*", ...[...all].filter((item) => item.startsWith("delivery."))];
  }

  #greeted(plan, cursor) {
    this.#position = place(cursor) ?? place(plan.cursor);
    this.#welcome(plan.ids);
    this.#admit();
  }

  #welcome(ids) {
    const to = ids.filter((id) => this.#members.has(id));
    for (const id of to) this.#members.get(id).ready = true;
    const cursor = this.#position?.cursor ?? null;
    if (to.length) this.#tell({ kind: "welcome", to, cursor, state: this.#state });
  }

  /** Let in who waits, if the line can serve them as it is; make it so otherwise. */
  #admit() {
    // The next connection is made for them as well.
    if (!this.#line?.greeted) return this.#tell({ kind: "state", state: this.#state });
    const waiting = [...this.#members].filter(([, member]) => !member.ready);
    const wanted = this.#wanted();
    const current = this.#line.events;
    const more = wanted.some((item) => !current.includes(item));
    const back = waiting.some(([, { cursor }]) => {
      const from = place(cursor);
      return from && (more || (this.#position && isBefore(from, this.#position)));
    });
    if (back) return this.#line.again();
    this.#line.choose(wanted, () => this.#welcome(waiting.map(([id]) => id)));
  }

  #frame(frame, text) {
    if (frame.cursor) this.#position = place(frame.cursor) ?? this.#position;
    this.#tell({ kind: "text", text });
  }

  #tell(message) {
    this.#number += 1;
    const numbered = { ...message, term: this.#term, number: this.#number };
    this.#say(numbered);
    this.#take(numbered);
  }

  // -- following ---------------------------------------------------------------------------

  #join(cursor) {
    const message = { kind: "join", from: this.#id, events: this.#tab.events, cursor };
    if (this.#line) this.#obey(message);
    else this.#say(message);
  }

  #receive(message) {
    if (message.term === undefined) {
      if (this.#line) this.#obey(message);
    } else if (message.term > this.#term) this.#follow(message);
    else if (message.term === this.#term) this.#take(message);
  }

  #follow(message) {
    if (this.#line) return; // robbed of the lock, and about to hear of it
    this.#term = message.term;
    this.#aboard = false;
    this.#number = message.number - 1;
    this.#take(message);
    if (!this.#aboard) this.#join(this.#tab.cursor);
  }

  #obey(message) {
    const { kind, from } = message;
    if (kind === "join") {
      const { events, cursor } = message;
      this.#members.set(from, { events, cursor, ready: false });
      this.#admit();
    } else if (kind === "leave" && this.#members.delete(from)) this.#admit();
    else if (kind === "poke") this.#line.poke();
    else if (kind === "ask") {
      this.#line.look(false, false); // timers of a hidden leader are slow, those of a seen tab not
      this.#tell({ kind: "here" });
    }
  }

  /** A message of the leader, this tab's own included. */
  #take(message) {
    const { kind, number } = message;
    this.#heard = performance.now();
    this.#asked = null;
    const lost = this.#aboard && number !== this.#number + 1 && !this.#line;
    this.#number = number;
    if (lost) {
      this.#aboard = false;
      this.#join(this.#tab.cursor);
    }
    if (kind === "welcome" && message.to.includes(this.#id)) {
      this.#aboard = true;
      this.#tab.welcome(message.cursor, message.state);
    } else if (kind === "state") this.#tab.state((this.#state = message.state));
    else if (kind === "text" && this.#aboard) this.#tab.frame(message.text);
    else if (kind === "stop") this.#tab.stop(message.code, message.reason);
  }

  #tick() {
    const now = Date.now();
    const passed = Math.abs(now - this.#ticked);
    this.#ticked = now;
    const jumped = passed > 5 * this.#timing.tick;
    if (this.#line) return this.#line.look(jumped, passed > this.#timing.sleep);
    const clock = performance.now();
    if (jumped || (this.#asked === null && clock - this.#heard > this.#patience)) {
      this.#asked = clock;
      this.#say({ kind: "ask" });
    } else if (this.#asked !== null && clock - this.#asked > this.#patience) {
      this.#asked = null;
      this.#heard = clock;
      this.#compete(true);
    }
  }
}

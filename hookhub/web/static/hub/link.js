// One connection: a WebSocket or an event stream (Server-Sent Events).

const SILENT_STREAM = 3; // keep-alive comments come every 15 s; so many pings' time without one

/** What a WebSocket and an event stream have in common; `end` resolves when it is over. */
class Link {
  constructor(plan, timing, hear) {
    this.plan = plan;
    this.timing = timing;
    this.hear = (text, cursor) => {
      this.heard = performance.now();
      if (!this.over) hear(this, text, cursor);
    };
    this.greeted = this.opened = this.over = false;
    this.began = this.heard = performance.now();
    this.asked = null; // since when an answer is awaited
    this.wait = null; // milliseconds that the hub asked to wait before coming back
    this.end = new Promise((resolve) => (this.resolve = resolve));
  }

  finish(how) {
    if (this.over) return;
    this.over = true;
    this.shut();
    const { kind, greeted, opened, wait } = this;
    this.resolve({ kind, greeted, opened, wait, lasted: performance.now() - this.began, ...how });
  }

  /** Look for signs of life; `jumped`: timers did not run, so that nothing follows from silence. */
  look(jumped) {
    const now = performance.now();
    const { open, ping } = this.timing;
    if (jumped) this.poke();
    else if (!this.greeted) {
      if (now - this.began > open) this.finish({ reason: "no first message" });
    } else if (this.asked !== null && this.heard < this.asked) {
      if (now - this.asked > this.patience) this.finish({ reason: "no answer to a ping" });
    } else if (now - this.heard > ping) this.ask(this.timing.pong);
  }
}

export class Socket extends Link {
  kind = "websocket";

  constructor(url, plan, timing, hear) {
    super(plan, timing, hear);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.ws = new WebSocket(url);
    this.pings = 0;
    this.ws.onopen = () => (this.opened = true);
    this.ws.onmessage = (message) => this.hear(message.data);
    this.ws.onclose = ({ code, reason }) => this.finish({ code, reason });
  }

  shut() {
    this.ws.onopen = this.ws.onmessage = this.ws.onclose = null;
    this.ws.close(1000); // a dead link never answers it: nobody waits
  }

  send(message) {
    if (this.ws.readyState === WebSocket.OPEN) this.ws.send(JSON.stringify(message));
  }

  ask(patience) {
    this.asked = performance.now();
    this.patience = patience;
    this.send({ type: "ping", id: (this.pings += 1) });
  }

  poke() {
    if (this.greeted) this.ask(this.timing.poke);
  }
}

export class Stream extends Link {
  kind = "sse";
  #abort = new AbortController();

  constructor(url, headers, plan, timing, hear) {
    super(plan, timing, hear);
    this.#read(url, headers).catch((error) => this.finish({ error, reason: String(error) }));
  }

  shut() {
    this.#abort.abort();
  }

  ask() {
    if (performance.now() - this.heard > SILENT_STREAM * this.timing.ping) {
      this.finish({ reason: "no sign of life" });
    }
  }

  // It cannot be asked anything: after a doubt, a new one is the only answer.
  poke() {
    if (performance.now() - this.heard > this.timing.ping) this.finish({ reason: "silent" });
  }

  async #read(url, headers) {
    const options = { cache: "no-store", credentials: "omit", signal: this.#abort.signal };
    const response = await fetch(url, { headers, ...options });
    if (!response.ok) return this.finish(await problemOf(response));
    if (!response.headers.get("content-type")?.startsWith("text/event-stream")) {
      return this.finish({ reason: "the answer is no event stream" });
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let part; !(part = await reader.read()).done; ) {
      this.heard = performance.now();
      if (!this.greeted) this.hear('{"type": "connection"}');
      const blocks = (rest + part.value).split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) this.#block(block);
    }
    this.finish({ reason: "the stream ended" });
  }

  #block(block) {
    const fields = { id: [], data: [] };
    for (const line of block.split(/\r?\n/)) {
      const [, name, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
      fields[name]?.push(value);
    }
    if (fields.data.length) this.hear(fields.data.join("\n"), fields.id[0]);
    else if (fields.id.length) this.hear('{"type": "cursor"}', fields.id[0]);
  }
}

/** What an HTTP answer that is no success says. */
export async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  const after = Number.parseFloat(response.headers.get("retry-after"));
  return {
    status: response.status,
    reason: problem.detail ?? `HTTP ${response.status}`,
    wait: after >= 0 ? after * 1000 : null,
  };
}

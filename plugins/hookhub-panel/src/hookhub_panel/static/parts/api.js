// Calls of the hub's REST API.

/** The hub's address: this page is at `admin/` below it. */
export const BASE = new URL("../", document.baseURI);

const KEY = "hookhub.token";
const TIMEOUT = 20_000;
const LIST = 200; // the most that one request gives
const EXACT = ['"payload"', '"example"', '"since"'];

/** The hub refused; `code` is stable, `message` is its sentence for a person. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail ?? `HTTP ${status}`);
    this.status = status;
    this.code = body?.code ?? "";
    this.errors = body?.errors ?? [];
    this.body = body;
  }
}

/** No answer at all: the hub or the network is down. */
export class Unreachable extends Error {}

// Numbers that a double cannot hold, and such as 1.0, as they were written.
const exact = (key, value, context) =>
  typeof value === "number" && context?.source !== undefined && String(value) !== context.source
    ? JSON.rawJSON(context.source)
    : value;

/** JSON whose numbers are kept as they were written, where the browser can do that. */
export const parseExact = (text) =>
  "rawJSON" in JSON ? JSON.parse(text, exact) : JSON.parse(text);

/** JSON; the numbers of payloads and examples are shown as they were sent. */
export function parse(text) {
  const value = JSON.parse(text);
  if (!("rawJSON" in JSON) || !EXACT.some((name) => text.includes(name))) return value;
  const precise = JSON.parse(text, exact);
  const pairs = [[value, precise], ...(value.items ?? []).map((item, i) => [item, precise.items[i]])];
  for (const [item, shown] of pairs) {
    if (item.payload) item.payload = shown.payload;
    if (item.example) item.example = shown.example;
  }
  return value;
}

// Of this tab alone, and gone with it.
export const kept = {
  load: () => sessionStorage.getItem(KEY),
  save: (token) => sessionStorage.setItem(KEY, token),
  forget: () => sessionStorage.removeItem(KEY),
};

export class Api {
  #gone = new AbortController();

  constructor(token) {
    this.token = token;
    /** Called when the hub does not know the token any more. */
    this.onUnauthorized = () => {};
  }

  /** What is under way comes to nothing: nobody is signed in any more. */
  close() {
    this.onUnauthorized = () => {};
    this.#gone.abort();
  }

  /** Call the API; throws Problem or Unreachable. `body` may be JSON text. */
  async call(method, path, { query = {}, body } = {}) {
    const url = new URL(path, BASE);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
    }
    const [response, text] = await this.#fetch(method, url, body);
    let answer = null;
    try {
      answer = text === "" ? null : parse(text);
    } catch {
      if (response.ok) throw new Unreachable("The answer is no JSON: is this still the hub?");
    }
    if (response.status === 401) this.onUnauthorized();
    if (!response.ok) throw new Problem(response.status, answer);
    return answer;
  }

  get(path, query) {
    return this.call("GET", path, { query });
  }

  post(path, body) {
    return this.call("POST", path, { body });
  }

  patch(path, body) {
    return this.call("PATCH", path, { body });
  }

  delete(path, query) {
    return this.call("DELETE", path, { query });
  }

  /** The first `limit` items of a list, however many requests that takes. */
  async list(path, query, limit) {
    const found = await this.get(path, { ...query, limit: Math.min(limit, LIST) });
    while (found.items.length < Math.min(limit, found.total)) {
      const rest = Math.min(LIST, limit - found.items.length);
      const page = await this.get(path, { ...query, limit: rest, offset: found.items.length });
      if (page.items.length === 0) break;
      found.items.push(...page.items);
    }
    return found;
  }

  async #fetch(method, url, body) {
    const headers = { Authorization: `Bearer ${this.token}` };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    try {
      const response = await fetch(url, {
        method,
        headers,
        body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT), this.#gone.signal]),
      });
      return [response, await response.text()];
    } catch (error) {
      throw new Unreachable(String(error));
    }
  }
}

/**
 * What a token may do: its scopes by their names, and `webhooks`, whether the hub has any.
 *
 * Asked without a trace: reading what needs the scope, or sending an empty object, which is
 * refused in one way without the scope and in another with it.
 */
export async function abilities(api) {
  const ask = async (method, path, more) => {
    try {
      await api.call(method, path, more);
      return 200;
    } catch (error) {
      if (error instanceof Problem && error.status < 500 && error.status !== 401) return error.status;
      throw error;
    }
  };
  const [seen, all] = await Promise.all([
    ask("GET", "webhooks/stats"),
    ask("GET", "tokens", { query: { limit: 1 } }),
  ]);
  if (all === 200) {
    const scopes = ["events:read", "events:write", "webhooks:read", "webhooks:write", "admin"];
    return { ...Object.fromEntries(scopes.map((scope) => [scope, true])), webhooks: seen !== 404 };
  }
  const [read, write, change, audit] = await Promise.all([
    ask("GET", "events", { query: { limit: 1, newest: true } }),
    ask("POST", "events", { body: {} }),
    ask("POST", "replays", { body: {} }),
    seen === 404 ? ask("GET", "replays", { query: { limit: 1 } }) : seen,
  ]);
  return {
    "events:read": read === 200,
    "events:write": write !== 403,
    "webhooks:read": audit === 200,
    "webhooks:write": change !== 403,
    admin: false,
    webhooks: seen !== 404,
  };
}

// Calls of the hub's REST API.

/** The hub's address: this page is at `admin/` below it. */
export const BASE = new URL("../", document.baseURI);

const KEY = "hookhub.token";
const TIMEOUT = 15_000;

/** The hub refused; `code` is stable, `message` is its sentence for a person. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail ?? `HTTP ${status}`);
    this.status = status;
    this.code = body?.code ?? "";
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

/** JSON; the numbers of payloads are shown as they were sent, where the browser can do that. */
export function parse(text) {
  const value = JSON.parse(text);
  if (!("rawJSON" in JSON) || !text.includes('"payload"')) return value;
  const precise = JSON.parse(text, exact);
  const pairs = [[value, precise], ...(value.items ?? []).map((item, i) => [item, precise.items[i]])];
  for (const [item, shown] of pairs) if (item.payload) item.payload = shown.payload;
  return value;
}

// Of this tab alone, and gone with it.
export const kept = {
  load: () => sessionStorage.getItem(KEY),
  save: (token) => sessionStorage.setItem(KEY, token),
  forget: () => sessionStorage.removeItem(KEY),
};

export class Api {
  #token;

  constructor(token) {
    this.#token = token;
    /** Called when the hub does not know the token any more. */
    this.onUnauthorized = () => {};
  }

  /** Call the API; throws Problem or Unreachable. */
  async call(method, path, query = {}) {
    const url = new URL(path, BASE);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
    }
    const [response, text] = await this.#fetch(method, url);
    let body = null;
    try {
      body = text === "" ? null : parse(text);
    } catch {
      if (response.ok) throw new Unreachable("The answer is no JSON: is this still the hub?");
    }
    if (response.status === 401) this.onUnauthorized();
    if (!response.ok) throw new Problem(response.status, body);
    return body;
  }

  get(path, query) {
    return this.call("GET", path, query);
  }

  async #fetch(method, url) {
    try {
      const response = await fetch(url, {
        method,
        headers: { Authorization: `Bearer ${this.#token}` },
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        signal: AbortSignal.timeout(TIMEOUT),
      });
      return [response, await response.text()];
    } catch (error) {
      throw new Unreachable(String(error));
    }
  }
}

/** What a token may do: each of `events` and `webhooks` is "yes", "no" (scope) or "absent". */
export async function abilities(api) {
  const ask = async (path, query) => {
    try {
      await api.get(path, query);
      return "yes";
    } catch (error) {
      if (error.status === 403) return "no";
      if (error.status === 404) return "absent";
      throw error;
    }
  };
  const [events, webhooks] = await Promise.all([
    ask("events", { limit: 1, newest: true }),
    ask("webhooks/stats"),
  ]);
  return { events, webhooks };
}

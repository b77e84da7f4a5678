// What components share in behaviour.

import { Hub } from "../../hub.js";
import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
} from "../vendor/virtual-core/virtual-core.js";
import { useCallback, useEffect, useLayoutEffect, useReducer, useRef, useState } from "../vendor/preact/preact-htm.js";
import { BASE, parse } from "./api.js";

const SETTLE = 200; // milliseconds

/** What a component draws anew after, when something that it does not own has changed. */
export function useRedraw() {
  const [, redraw] = useReducer((n) => n + 1, 0);
  return redraw;
}

/**
 * What `load()` brings, again when `deps` change and every `interval` milliseconds (0: never)
 * while the page is seen. Gives `{data, problem, refresh}`; until the next data are here, and
 * after a failure, the last ones stay.
 */
export function useLoaded(load, deps, interval = 0) {
  const [found, setFound] = useState({ data: null, problem: null });
  const turn = useRef(0);
  const latest = useRef(load);
  latest.current = load;
  const refresh = useCallback(async () => {
    const mine = (turn.current += 1);
    let next;
    try {
      next = { data: await latest.current(), problem: null };
    } catch (problem) {
      next = { problem };
    }
    if (mine === turn.current) setFound((before) => ({ ...before, ...next }));
  }, []);
  useEffect(() => {
    refresh();
    return () => (turn.current += 1);
  }, deps);
  useEffect(() => {
    if (!interval) return undefined;
    const look = () => document.hidden || refresh();
    const timer = setInterval(look, interval);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [interval]);
  return { ...found, refresh };
}

/** An action of a person: `run(call)` while `busy`, with the `problem` if it failed. */
export function useAction() {
  const [state, setState] = useState({ busy: false, problem: null });
  const alive = useRef(true);
  useEffect(() => () => (alive.current = false), []);
  const run = async (call) => {
    setState({ busy: true, problem: null });
    let problem = null;
    let answer;
    try {
      answer = await call();
    } catch (error) {
      problem = error;
    }
    if (alive.current) setState({ busy: false, problem });
    return problem ? undefined : (answer ?? true);
  };
  return { ...state, run, clear: () => setState({ busy: false, problem: null }) };
}

/** What happens to deliveries, as it happens: `onSignal(event)` for those that `where` matches. */
export function useSignals(session, where, onSignal) {
  const latest = useRef(onSignal);
  latest.current = onSignal;
  const key = where && JSON.stringify(where);
  useEffect(() => {
    if (!where || !session.can["events:read"] || !session.can["webhooks:read"]) return undefined;
    let hub = null;
    // Not for what is only passed on the way.
    const timer = setTimeout(() => {
      hub = new Hub({
        url: BASE,
        token: session.api.token,
        events: "delivery.*",
        where: Object.keys(where).length ? where : undefined,
        share: false,
        parse,
        onEvent: (event) => latest.current(event),
        // Something may have been missed until now.
        onState: ({ name }) => name === "live" && latest.current(null),
      });
    }, SETTLE);
    return () => {
      clearTimeout(timer);
      hub?.close();
    };
  }, [session, key]);
}

/** Calls at most once in `wait` milliseconds, and once more at the end. */
export function useThrottled(call, wait) {
  const latest = useRef(call);
  latest.current = call;
  const timer = useRef(null);
  useEffect(() => () => clearTimeout(timer.current), []);
  return useCallback(() => {
    timer.current ??= setTimeout(() => {
      timer.current = null;
      latest.current();
    }, wait);
  }, []);
}

/** The rows of a long list that are to be drawn. */
export function useVirtual(options) {
  const redraw = useRedraw();
  const all = {
    observeElementRect,
    observeElementOffset,
    scrollToFn: elementScroll,
    ...options,
    onChange: () => redraw(),
  };
  const [virtual] = useState(() => new Virtualizer(all));
  virtual.setOptions(all);
  useLayoutEffect(() => virtual._didMount(), []);
  useLayoutEffect(() => virtual._willUpdate());
  return virtual;
}

/** Whether a media query matches. */
export function useMedia(query) {
  const redraw = useRedraw();
  const list = useRef(null);
  list.current ??= matchMedia(query);
  useEffect(() => {
    list.current.addEventListener("change", redraw);
    return () => list.current.removeEventListener("change", redraw);
  }, []);
  return list.current.matches;
}

// Compiled by test_hub_js_types.py, never run.
import { Hub, HubError, type State } from "./hub.js";

declare module "./hub.js" {
  interface Payloads {
    "order.paid": { order_id: string };
  }
}

const hub = new Hub({ token: "t", events: ["user.*"], onState: (state) => state.name });
new Hub({ getTicket: async () => ({ ticket: "x" }), identity: "alice" });
new Hub({ token: async () => null, where: { amount_kopeks: { $gt: 1 } }, timing: { ping: 1 } });
// @ts-expect-error: neither a token nor tickets
new Hub({});
// @ts-expect-error: both
new Hub({ token: "t", getTicket: async () => "x" });

hub.on("user.created", (event) => {
  const id: number = event.payload.user_id;
  // @ts-expect-error: there is no such member
  event.payload.nothing;
  return id;
});
hub.on("ticket.*", (event) => {
  if (event.type === "ticket.created") event.payload.title.length;
});
hub.on("order.paid", (event) => event.payload.order_id.length);
hub.on("unknown.type", (event) => [event.payload.anything, event.sequence]);
hub.on("delivery.*", (event) => "ephemeral" in event && event.payload.attempt);
hub.on("*", (event) => event.cursor);
const name: string = "some.type";
const off: () => void = hub.on(name, (event) => event.cursor);
off();

hub.on("state", (state: State) => {
  if (state.name === "gap") hub.acknowledge();
});
// @ts-expect-error: there is no such state
hub.on("state", (state) => state.name === "asleep");
hub.on("gap", ({ missed }) => missed === null || missed.toFixed());

try {
  for await (const event of hub) {
    if ("cursor" in event) event.cursor.length;
  }
} catch (error) {
  if (error instanceof HubError) error.code === "too_slow";
}
await hub.subscribe("a.*", ["b.c"]);
hub.close();

// The pages, in the order of the bar.

import { Audit } from "./audit.js";
import { Connections } from "./connections.js";
import { EventTypes } from "./event-types.js";
import { Live } from "./live.js";
import { Nodes } from "./nodes.js";
import { Overview } from "./overview.js";
import { Plugins } from "./plugins.js";
import { Tokens } from "./tokens.js";
import { Webhooks } from "./webhooks.js";

export const PAGES = [
  { name: "live", view: Live },
  { name: "webhooks", view: Webhooks },
  { name: "overview", view: Overview },
  { name: "types", view: EventTypes },
  { name: "connections", view: Connections },
  { name: "nodes", view: Nodes },
  { name: "tokens", view: Tokens },
  { name: "plugins", view: Plugins },
  { name: "audit", view: Audit },
];

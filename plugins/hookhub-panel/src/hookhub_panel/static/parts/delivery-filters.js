// Filters of the deliveries, and looking for what they ask for.

import { html, useState } from "../vendor/preact/preact-htm.js";
import { EventTypesOf } from "./catalogue.js";
import { t } from "./i18n.js";

const LIST = 200;
const TURNS = 5; // requests before a person is asked whether to look further

export const NO_FILTERS = { event_type: "", event_id: "", since: "", until: "" };

export const isNarrow = (filters) => Object.values(filters).some(Boolean);

const instant = (local) => (local ? new Date(local).toISOString() : "");

/** The first `limit` deliveries that match, as far as so many `turns` find them. */
export async function findDeliveries(api, path, status, filters, limit, turns) {
  if (!isNarrow(filters)) return api.list(path, { status }, limit);
  const query = { status, ...filters, since: instant(filters.since), until: instant(filters.until) };
  const found = { items: [], total: null, next: "" };
  for (let turn = 0; turn < turns * TURNS && found.next !== null && found.items.length < limit; turn++) {
    const page = await api.get(path, { ...query, before: found.next, limit: Math.min(LIST, limit - found.items.length) });
    found.items.push(...page.items);
    found.next = page.next;
  }
  return found;
}

export function DeliveryFilters({ session, value, onChange }) {
  // What is being typed outlives a refresh of the list; it counts when a field is left or Enter is
  // pressed, not at every letter.
  const [draft, setDraft] = useState(value);
  const field = (name) => ({
    value: draft[name],
    onInput: (event) => setDraft({ ...draft, [name]: event.currentTarget.value }),
    onChange: (event) => onChange({ ...value, [name]: event.currentTarget.value.trim() }),
  });
  const clear = () => {
    setDraft(NO_FILTERS);
    onChange(NO_FILTERS);
  };
  return html`<details class="plain" id="delivery-filters"><summary>${t("deliveries.more_filters")}</summary>
    <form class="toolbar" onSubmit=${(event) => event.preventDefault()}>
      <label class="field"><span>${t("replay.events")}</span><input id="delivery-type" list="delivery-types" placeholder=${t("live.filter_example")} ...${field("event_type")} /></label>
      <${EventTypesOf} session=${session} id="delivery-types" />
      <label class="field"><span>${t("deliveries.event_id")}</span><input id="delivery-event" ...${field("event_id")} /></label>
      <label class="field"><span>${t("replay.since")}</span><input type="datetime-local" step="1" id="delivery-since" ...${field("since")} /></label>
      <label class="field"><span>${t("replay.until")}</span><input type="datetime-local" step="1" id="delivery-until" ...${field("until")} /></label>
      <button type="button" id="delivery-clear" disabled=${!isNarrow(value)} onClick=${clear}>${t("deliveries.clear")}</button>
    </form></details>`;
}

/** How many were found, and whether there may be more. */
export const Further = ({ found, onMore }) =>
  html`<p class="more quiet" role="status">${t("deliveries.found", { n: found.items.length })}
    ${found.next !== null && html` <button type="button" id="delivery-further" onClick=${onMore}>${t("deliveries.further")}</button>`}</p>`;

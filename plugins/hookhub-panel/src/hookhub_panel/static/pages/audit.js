// Audit: is everything there that was promised?

import { useAction } from "../parts/hooks.js";
import { has, number, t } from "../parts/i18n.js";
import { printable } from "../parts/text.js";
import { Facts, Field, Head, Json, NoScope, Pill, Trouble } from "../parts/ui.js";
import { html, useState } from "../vendor/preact/preact-htm.js";

const COUNTS = ["events", "matched", "replayed", "delivered", "pending", "failed", "removed", "expired"];

export function Audit({ session }) {
  if (!session.can["webhooks:read"]) return html`<${NoScope} scope="webhooks:read" what="scope.audit" />`;
  return html`<${Run} session=${session} />`;
}

function Run({ session }) {
  const [form, setForm] = useState({ since: "", until: "" });
  const [report, setReport] = useState(null);
  const { run, busy, problem } = useAction();
  const set = (name) => (event) => setForm({ ...form, [name]: event.currentTarget.value });
  const instant = (local) => (local ? new Date(local).toISOString() : "");
  const submit = (event) => {
    event.preventDefault();
    run(async () => setReport(await session.api.get("audit", { since: instant(form.since), until: instant(form.until) })));
  };
  return html`<${Head} title=${t("nav.audit")} /><p class="quiet">${t("audit.text")}</p>
    <form id="audit-form" class="card pad form" onSubmit=${submit}>
      <${Field} id="audit-since" label=${t("replay.since")} hint=${t("replay.since_hint")}><input id="audit-since" type="datetime-local" value=${form.since} onInput=${set("since")} aria-describedby="audit-since-hint" /><//>
      <${Field} id="audit-until" label=${t("replay.until")}><input id="audit-until" type="datetime-local" value=${form.until} onInput=${set("until")} /><//>
      <div class="buttons wide"><button type="submit" id="audit-run" class="primary" disabled=${busy}>${t(busy ? "audit.running" : "audit.run")}</button></div>
    </form>
    <${Trouble} problem=${problem} />
    <div role="status">${report && html`<${Report} report=${report} />`}</div>`;
}

function Report({ report }) {
  const skipped = Object.entries(report.skipped ?? {});
  return html`<div class="card pad" id="audit-report"><p class="line"><${Pill} tone=${report.ok ? "success" : "failed"}>${t(report.ok ? "audit.ok" : "audit.wrong")}<//>
      <span class="quiet">${t("audit.range", { first: report.first, last: report.last })}</span></p>
    <${Facts} wide pairs=${[...COUNTS.map((name) => [t(`audit.${name}`), number(report[name] ?? 0)]), ...skipped.map(([why, n]) => [has(`audit.skipped.${why}`) ? t(`audit.skipped.${why}`) : t("audit.skipped", { why }), number(n)])]} />
    ${report.differences.map(({ check, message, count, rows }) => html`<section><h3>${has(`audit.check.${check}`) ? t(`audit.check.${check}`) : check} (${number(count)})</h3>${!has(`audit.check.${check}`) && html`<p class="said">${printable(message)}</p>`}<${Json} value=${rows} label=${check} /></section>`)}
  </div>`;
}

// Attempts of a delivery, one after the other.

import { html } from "../vendor/preact/preact-htm.js";
import { has, moment, seconds, t } from "./i18n.js";
import { printable } from "./text.js";
import { Pill } from "./ui.js";

const PHASES = ["dns", "connect", "tls", "wait"];

export const AttemptList = ({ attempts }) =>
  html`<ol class="attempts">${attempts.map((attempt) => html`<li key=${attempt.number}><${Attempt} attempt=${attempt} /></li>`)}</ol>`;

function Attempt({ attempt }) {
  const { number, started_at, duration, outcome, response_status, response_headers, response_body, error_message, timings } = attempt;
  const said = [response_status && `HTTP ${response_status}`, error_message].filter(Boolean).join(" · ");
  return html`<p class="line"><span class="quiet">${t("attempt.number", { n: number })}</span>
      <${Pill} tone=${outcome === "delivered" ? "success" : "failed"}>${has(`outcome.${outcome}`) ? t(`outcome.${outcome}`) : outcome}<//>
      <time datetime=${started_at}>${moment(started_at)}</time><span>${seconds(duration)}</span></p>
    ${said && html`<p class="said">${printable(said)}</p>`}
    ${timings && html`<${Timings} timings=${timings} />`}
    ${response_headers?.length > 0 && html`<details class="answer-headers"><summary>${t("attempt.headers", { n: response_headers.length })}</summary>
      <pre tabindex="0" role="region" aria-label=${t("attempt.headers", { n: response_headers.length })}>${response_headers.map(({ name, value }) => printable(`${name}: ${value}`)).join("\n")}</pre></details>`}
    ${response_body && html`<pre tabindex="0" role="region" aria-label=${t("attempt.body")}>${printable(response_body)}</pre>`}`;
}

/** How long each phase took, as a bar. */
function Timings({ timings }) {
  const phases = PHASES.filter((name) => timings[name] !== undefined);
  const whole = timings.total || 1;
  return html`<p class="timings"><span class="bar" aria-hidden="true">${phases.map(
    (name) => html`<i class=${name} style=${{ width: `${Math.max(1, (timings[name] / whole) * 100)}%` }}></i>`,
  )}</span> <span class="quiet">${phases.map((name) => `${t(`phase.${name}`)} ${seconds(timings[name])}`).join(" · ")}</span></p>`;
}

// The request that a webhook gets, as docs/webhooks.md has it: for a preview, and to copy.

import { t } from "./i18n.js";
import { curl, pythonJson } from "./text.js";

const encoder = new TextEncoder();

/**
 * `{method, url, headers: [[name, value]], body, note}`. What the panel cannot know stands in
 * angle brackets: the signatures without the secret, and the values of custom headers.
 */
export function requestOf(webhook, { event, delivery = t("request.delivery"), attempt = 1, at }) {
  const time = at ? Math.floor(Date.parse(at) / 1000) : null;
  const headers = [
    ["Content-Type", "application/json"],
    ["User-Agent", t("request.agent")],
    ["X-Webhook-Event", event.type],
    ["X-Webhook-Id", String(webhook.id ?? t("request.webhook_id"))],
    ["X-Webhook-Delivery", String(delivery)],
    ["X-Webhook-Attempt", String(attempt)],
  ];
  headers.push(["webhook-id", event.id], ["webhook-timestamp", String(time ?? t("request.now"))]);
  if (webhook.has_secret) headers.push(["X-Webhook-Signature", t("request.signature")]);
  headers.push(["webhook-signature", t("request.signatures")]);
  for (const [name, value] of Object.entries(webhook.headers ?? {})) {
    headers.push([name, /^[*•]+$/.test(value) ? t("request.hidden") : value]);
  }
  const transformed = Boolean(webhook.transform);
  return {
    method: "POST",
    url: webhook.url,
    headers,
    body: webhook.format === "envelope" ? envelope(event) : pythonJson(event.payload),
    note: transformed ? t("request.transformed", { name: webhook.transform.name }) : "",
  };
}

/** A command for a terminal that makes the request, without what the panel cannot know. */
export const curlOf = ({ method, url, headers, body }) =>
  curl(method, url, headers.filter(([, value]) => !value.includes("<")), body);

function envelope({ type, timestamp, payload, id }) {
  const [kind, time, name] = [type, timestamp ?? t("request.time"), id].map(pythonJson);
  return `{"type":${kind},"timestamp":${time},"data":${pythonJson(payload)},"id":${name}}`;
}

/** The same with the signatures that this secret makes; where the browser has no crypto, without. */
export async function signed(request, secret, { id, seconds }) {
  if (!secret || !crypto.subtle) return request;
  const plain = await hmac(encoder.encode(secret), request.body);
  const key = secret.startsWith("whsec_") ? fromBase64(secret.slice(6)) : encoder.encode(secret);
  if (!key) return request;
  const standard = await hmac(key, `${id}.${seconds}.${request.body}`);
  const values = {
    "X-Webhook-Signature": `sha256=${Array.from(plain, (byte) => byte.toString(16).padStart(2, "0")).join("")}`,
    "webhook-timestamp": String(seconds),
    "webhook-signature": `v1,${btoa(String.fromCharCode(...standard))} ${t("request.v1a")}`,
  };
  return { ...request, headers: request.headers.map(([name, value]) => [name, values[name] ?? value]) };
}

async function hmac(secret, text) {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", secret, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(text)));
}

function fromBase64(text) {
  try {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  } catch {
    return null;
  }
}

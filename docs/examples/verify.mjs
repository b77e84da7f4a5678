// Verify a webhook request of hookhub. Node's own crypto only; copy it into your receiver.
// `headers` is what Node gives (names in lower case), `body` the raw bytes: a Buffer.
import { createHmac, timingSafeEqual } from "node:crypto";

const TOLERANCE = 300; // seconds between the sender's clock and ours

function equal(left, right) {
  const [a, b] = [Buffer.from(left), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}

// webhook-signature (Standard Webhooks 1.0): refuses old and repeated requests.
export function verify(headers, body, secret) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^\d+$/.test(timestamp)) return false;
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE) return false;
  const key = secret.startsWith("whsec_")
    ? Buffer.from(secret.slice("whsec_".length), "base64")
    : Buffer.from(secret, "utf8");
  const expected = createHmac("sha256", key)
    .update(`${id}.${timestamp}.`)
    .update(body)
    .digest("base64");
  // More than one signature comes while a secret is being rotated.
  return (headers["webhook-signature"] ?? "")
    .split(" ")
    .some((entry) => equal(entry, `v1,${expected}`));
}

// X-Webhook-Signature: simpler, but it covers the body alone.
export function verifyBody(headers, body, secret) {
  const expected = createHmac("sha256", secret).update(body).digest("hex");
  return equal(headers["x-webhook-signature"] ?? "", `sha256=${expected}`);
}

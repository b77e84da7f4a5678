// Verify a webhook request of hookhub with the hub's public key: no secret is shared.
// `keys` is `keys` of the hub's /.well-known/webhook-keys.json; fetch it once, and again when a
// request does not verify (not more than once a minute: anybody can send such requests).
import { createPublicKey, verify as signs } from "node:crypto";

const TOLERANCE = 300; // seconds between the sender's clock and ours
const ENTRIES = 16; // checking costs time, and anybody may send any number

export function verify(headers, body, keys) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^\d+$/.test(timestamp)) return false;
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE) return false;
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  const signatures = (headers["webhook-signature"] ?? "")
    .split(" ")
    .filter((entry) => entry.startsWith("v1a,"))
    .slice(0, ENTRIES)
    .map((entry) => Buffer.from(entry.slice("v1a,".length), "base64"));
  return keys.some((key) => {
    const publicKey = createPublicKey({ key, format: "jwk" });
    return signatures.some((signature) => signs(null, signed, publicKey, signature));
  });
}

<?php
// Verify a webhook request of hookhub. $headers: names in lower case (array_change_key_case of
// getallheaders()); $body: the raw bytes, file_get_contents('php://input').

const TOLERANCE = 300; // seconds between the sender's clock and ours

// webhook-signature (Standard Webhooks 1.0): refuses old and repeated requests.
function verify(array $headers, string $body, string $secret): bool
{
    $id = $headers['webhook-id'] ?? '';
    $timestamp = $headers['webhook-timestamp'] ?? '';
    if (!ctype_digit($timestamp) || abs(time() - (int) $timestamp) > TOLERANCE) {
        return false;
    }
    $key = str_starts_with($secret, 'whsec_') ? base64_decode(substr($secret, 6)) : $secret;
    $expected = base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    // More than one signature comes while a secret is being rotated.
    foreach (explode(' ', $headers['webhook-signature'] ?? '') as $entry) {
        if (hash_equals("v1,$expected", $entry)) {
            return true;
        }
    }
    return false;
}

// X-Webhook-Signature: simpler, but it covers the body alone.
function verify_body(array $headers, string $body, string $secret): bool
{
    $expected = 'sha256=' . hash_hmac('sha256', $body, $secret);
    return hash_equals($expected, $headers['x-webhook-signature'] ?? '');
}

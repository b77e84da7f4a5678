// Package hookhub verifies webhook requests of hookhub. Standard library only.
package hookhub

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Tolerance between the sender's clock and ours.
const Tolerance = 5 * time.Minute

func sum(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range parts {
		mac.Write(part)
	}
	return mac.Sum(nil)
}

// Verify checks webhook-signature (Standard Webhooks 1.0) over the raw body;
// it refuses old and repeated requests.
func Verify(headers http.Header, body []byte, secret string) bool {
	id, timestamp := headers.Get("webhook-id"), headers.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > Tolerance {
		return false
	}
	key := []byte(secret)
	if encoded, found := strings.CutPrefix(secret, "whsec_"); found {
		if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return false
		}
	}
	expected := base64.StdEncoding.EncodeToString(sum(key, []byte(id+"."+timestamp+"."), body))
	// More than one signature comes while a secret is being rotated.
	for _, entry := range strings.Fields(headers.Get("webhook-signature")) {
		if hmac.Equal([]byte(entry), []byte("v1,"+expected)) {
			return true
		}
	}
	return false
}

// VerifyBody checks X-Webhook-Signature: simpler, but it covers the body alone.
func VerifyBody(headers http.Header, body []byte, secret string) bool {
	expected := "sha256=" + hex.EncodeToString(sum([]byte(secret), body))
	return hmac.Equal([]byte(headers.Get("X-Webhook-Signature")), []byte(expected))
}

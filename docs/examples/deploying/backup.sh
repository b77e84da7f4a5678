#!/bin/sh
# A copy of a hub's SQLite database, taken beside the running hub.
set -eu
umask 077
database=${1:-/var/lib/hookhub/hookhub.db}
copies=${2:-/var/backups/hookhub}
mkdir -p "$copies"
name=$copies/hookhub-$(date -u +%Y%m%dT%H%M%SZ).db
sqlite3 -bail -cmd '.timeout 10000' "$database" "VACUUM INTO '$name.part'"
test "$(sqlite3 "$name.part" 'PRAGMA integrity_check')" = ok
mv "$name.part" "$name"
echo "$name"

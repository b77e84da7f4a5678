#!/bin/sh
# Puts a copy back in the place of a hub's SQLite database. Stop the hub first.
set -eu
umask 077
copy=$1
database=${2:-/var/lib/hookhub/hookhub.db}
aside=$(dirname "$database")/before-$(date -u +%Y%m%dT%H%M%SZ)
mkdir "$aside"
for file in "$database" "$database-wal" "$database-shm"; do
    if [ -e "$file" ]; then mv "$file" "$aside/"; fi
done
cp "$copy" "$database"
# Cursors of what came after the copy must not be taken for cursors of what comes now.
sqlite3 -bail "$database" "UPDATE hookhub_state SET epoch = lower(hex(randomblob(6)))"
if [ "$(id -u)" = 0 ]; then
    chown "$(stat -c %U:%G "$(dirname "$database")")" "$database"
fi
echo "$database is restored; what was there is in $aside"

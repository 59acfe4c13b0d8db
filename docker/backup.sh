#!/bin/sh
# Back up the database and the keys, while dserver runs: docker/backup.sh DIRECTORY
# Makes DIRECTORY/dserver-<time>, which is complete if it has this name. docs/backup.rst says more.
set -eu
# With CDPATH, cd may print the directory, also into $(cd … && pwd).
unset CDPATH
umask 077

# cron would mail what Compose prints about the containers that it starts.
compose() { docker compose --progress quiet "$@"; }

[ $# -eq 1 ] || { echo "Usage: $0 DIRECTORY" >&2; exit 2; }
mkdir -p -- "$1"
backup=$(cd -- "$1" && pwd)/dserver-$(date -u +%Y%m%dT%H%M%SZ)
cd "$(dirname "$0")/.."

mkdir "$backup.unfinished"
trap 'rm -rf "$backup.unfinished"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Builds our image if there is none; the output of that must not be mixed with what is read below.
compose run --rm --no-deps -T --entrypoint true keys < /dev/null >&2
# One transaction: the tables are consistent, whatever is written meanwhile.
compose exec -T postgres pg_dump --username=dserver --dbname=dserver --format=custom \
    > "$backup.unfinished/database.dump"
compose run --rm --no-deps -T --entrypoint tar keys -C /keys -cf - . \
    > "$backup.unfinished/keys.tar"
# Secrets and settings. restore.sh does not restore them: another machine may need others.
for file in .env dserver.env; do
    [ ! -f "$file" ] || cp "$file" "$backup.unfinished/${file#.}"
done
compose exec -T postgres pg_restore --list < "$backup.unfinished/database.dump" > /dev/null
tar -tf "$backup.unfinished/keys.tar" > /dev/null
(cd "$backup.unfinished" && sha256sum -- * > SHA256SUMS)
sync
mv "$backup.unfinished" "$backup"
echo "$backup"

#!/bin/sh
# Restore a backup into an empty stack: docker/restore.sh DIRECTORY/dserver-<time>
# Overwrites nothing: it refuses a database that has tables, and other keys. May be repeated.
set -eu
# With CDPATH, cd may print the directory, also into $(cd … && pwd).
unset CDPATH

refuse() {
    echo "$1" >&2
    exit 1
}

[ $# -eq 1 ] || { echo "Usage: $0 DIRECTORY/dserver-<time>" >&2; exit 2; }
backup=$(cd -- "$1" && pwd)
case $backup in *.unfinished) refuse "$backup was not finished: use another backup." ;; esac
(cd "$backup" && sha256sum --check --quiet --strict SHA256SUMS) ||
    refuse "$backup is not as it was made: use another backup."
cd "$(dirname "$0")/.."

# Builds our image if there is none; the output of that must not be mixed with what is read below.
docker compose run --rm --no-deps -T --entrypoint true keys < /dev/null >&2
# Without dserver, whose migrations make tables.
docker compose up --detach --wait postgres
tables=$(docker compose exec -T postgres psql --no-psqlrc --username=dserver --dbname=dserver \
    --tuples-only --no-align \
    --command="SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
[ "$tables" = 0 ] || refuse "The database is not empty: restore into a new stack."
keys=$(docker compose run --rm --no-deps -T --entrypoint ls keys -A /keys < /dev/null)
if [ -z "$keys" ]; then
    docker compose run --rm --no-deps -T --entrypoint tar keys -C /keys --no-same-owner -xf - \
        < "$backup/keys.tar"
else
    docker compose run --rm --no-deps -T --entrypoint tar keys -C /keys --diff -f - \
        < "$backup/keys.tar" > /dev/null || refuse "There are other keys: restore into a new stack."
fi
# All or nothing.
docker compose exec -T postgres pg_restore --username=dserver --dbname=dserver --single-transaction \
    --exit-on-error --no-owner --no-privileges --no-comments < "$backup/database.dump"
echo "Restored. Start the rest with: docker compose up --detach"

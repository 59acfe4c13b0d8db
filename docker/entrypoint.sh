#!/bin/sh
# What a container of the image does: serve (the default), migrate, keys or cleanup, each of which
# takes this shell's place. Anything else is run as it stands, such as `flask user list`.
set -eu
here=$(dirname "$0")

case "${1:-serve}" in
    serve)
        # What is free goes back to the system, and not only what lies at the end.
        export MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=131072 MALLOC_TRIM_THRESHOLD_=131072
        exec gunicorn --config "$here/gunicorn.conf.py" "$FLASK_APP"
        ;;
    migrate)
        exec flask db upgrade --directory dserver_signed_url_plugin:migrations
        ;;
    keys)
        exec python "$here/make_keys.py"
        ;;
    cleanup)
        exec python "$here/cleanup_schedule.py"
        ;;
    *)
        exec "$@"
        ;;
esac

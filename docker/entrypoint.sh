#!/bin/bash
# The entry point of the image: serve (the default), migrate, keys or cleanup. Anything else is run as
# a command, such as `flask user list`. Not sh, which is dash in the image: it drops variables such as
# DTOOL_S3_ENDPOINT_my-bucket, because of the dash in their names.
set -eu
here=$(dirname "$0")

case "${1:-serve}" in
    serve)
        # Makes malloc return freed memory to the system earlier.
        export MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=131072 MALLOC_TRIM_THRESHOLD_=131072
        # What workers count for SIGNED_URL_METRICS; of earlier ones, nothing is to be left.
        export PROMETHEUS_MULTIPROC_DIR="${PROMETHEUS_MULTIPROC_DIR:-/tmp/prometheus}"
        mkdir -p "$PROMETHEUS_MULTIPROC_DIR"
        rm -f "$PROMETHEUS_MULTIPROC_DIR"/*.db
        exec gunicorn --config "$here/gunicorn.conf.py" "$FLASK_APP"
        ;;
    migrate)
        flask db upgrade --directory dserver_signed_url_plugin:migrations
        # With MongoDB, there is no index in the SQL database.
        if python -c 'import sys, importlib.util as i; sys.exit(i.find_spec("dserver_sql_index") is None)'; then
            exec flask db upgrade --directory dserver_sql_index:migrations
        fi
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

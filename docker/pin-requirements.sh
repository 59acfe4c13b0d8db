#!/bin/sh
# Choose the packages of the image anew, and pin each with its hashes. Needs uv (pip install uv).
#
#   requirements-sql.txt    what runs, with dserver's index in its SQL database
#   requirements-mongo.txt  what runs, with dserver's plugins for MongoDB
#   requirements-build.txt  what builds wheels of packages that have none
set -eu
cd "$(dirname "$0")/.."

# pin NAME PROJECT...: pin the requirements of projects, and those of standard input.
pin() {
    file=docker/requirements-$1.txt
    shift
    uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes --no-annotate \
        --custom-compile-command docker/pin-requirements.sh --output-file "$file" "$@" -
}

# setuptools: the last major version with pkg_resources, which the command dtool needs.
# dtool-azure: for dserver's own `flask base_uri index azure://…`; it needs the SDK of 2019.
run='gunicorn
setuptools<81
dtool-azure
azure-storage-blob==2.1.0'

echo "$run" | pin sql --extra azure --extra metrics --extra postgresql --extra redis pyproject.toml index/pyproject.toml
printf '%s\n' "$run" dserver-search-plugin-mongo dserver-retrieve-plugin-mongo \
    | pin mongo --extra azure --extra metrics --extra postgresql --extra redis pyproject.toml
printf '%s\n' hatchling 'setuptools<81' wheel | pin build

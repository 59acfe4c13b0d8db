#!/bin/sh
# Make the .env file beside docker-compose.yml: fresh secrets, readable by its owner only.
# Run it once only: the databases keep the passwords of the first .env.
set -eu

here=$(dirname "$0")
file=${1:-$here/../.env}

# Such as after a checkout by root with umask 027 or 077.
if [ -n "$(find -L "$here" ! -perm -004 -print -o -type d ! -perm -001 -print)" ]; then
    echo "Containers run as other users, who must be able to read $here: chmod -R go+rX $here" >&2
    exit 1
fi

secret() {
    hex=$(od -An -v -N "$1" -tx1 /dev/urandom | tr -d ' \n')
    [ "${#hex}" -eq $(($1 * 2)) ]
    echo "$hex"
}

# One at a time: inside the text, a failure would go unnoticed, and a password be empty.
postgres=$(secret 24)
database=$(secret 24)
mongo_root=$(secret 24)
mongo=$(secret 24)
store=$(secret 24)
store_signing=$(secret 24)
s3_id=dserver$(secret 6)
s3_secret=$(secret 20)
s3_write_id=dwriter$(secret 6)
s3_write_secret=$(secret 20)
flask=$(secret 32)
grafana=$(secret 16)

content="# Made by docker/make-env.sh. Never commit this file, and keep a copy in a safe place.
# What runs: docker/store.yml is a store on this machine; docker/mongo.yml is MongoDB, with INDEX=mongo;
# docker/metrics.yml is Prometheus and Grafana; docker/tls.yml is TLS.
COMPOSE_FILE=docker-compose.yml:docker/store.yml

POSTGRES_PASSWORD=$postgres
DATABASE_PASSWORD=$database
MONGO_ROOT_PASSWORD=$mongo_root
MONGO_PASSWORD=$mongo
STORE_ROOT_PASSWORD=$store
STORE_SIGNING_KEY=$store_signing
S3_ACCESS_KEY_ID=$s3_id
S3_SECRET_ACCESS_KEY=$s3_secret
S3_WRITE_ACCESS_KEY_ID=$s3_write_id
S3_WRITE_SECRET_ACCESS_KEY=$s3_write_secret
SECRET_KEY=$flask
GRAFANA_PASSWORD=$grafana

# What you may change: the rest of the settings, with what holds where a line is commented out.
#INDEX=sql
#AWS_DEFAULT_REGION=us-east-1
#BUCKET=dtool
#TEMP_BUCKET=tempstore
# In days.
#TEMP_DAYS=7
#CORS_ORIGINS=*
#DSERVER_HOST=
#STORE_HOST=
#ACME_CONTACT=
#ACME_DIRECTORY=https://acme-v02.api.letsencrypt.org/directory
#DSERVER_PUBLIC_URL=http://localhost:5000
#S3_PUBLIC_ENDPOINT=http://localhost:9000
#BIND_ADDRESS=127.0.0.1
#DSERVER_PORT=5000
#S3_PORT=9000
#PROMETHEUS_PORT=9090
#GRAFANA_PORT=3000
#TRUSTED_PROXIES=
#RATE_LIMIT=600 per minute
#REQUESTS_PER_SECOND=50
#CONNECTIONS=100
#DSERVER_WORKERS=2
#DSERVER_THREADS=8
# In seconds.
#DSERVER_TIMEOUT=900
#CLEANUP_AT=02:00
# In hours, or with a unit, as in 90m, 48h and 7d.
#CLEANUP_EVERY_HOURS=24
#CLEANUP_OLDER_THAN_HOURS=48
# Base URIs whose buckets delete what is old, separated by spaces.
#EPHEMERAL_BASE_URIS=
#LOG_FORMAT=plain
#LOG_MAX_SIZE=20m
#LOG_MAX_FILE=5
#DSERVER_MEMORY=2g
#COMMAND_MEMORY=1g
#FRONT_MEMORY=2g
#POSTGRES_MEMORY=1g
#STORE_MEMORY=2g
#MONGO_MEMORY=2g"

umask 077
# noclobber: the shell itself refuses a file that exists, also one that was made just now.
set -C
if ! printf '%s\n' "$content" 2>/dev/null > "$file"; then
    echo "$file is not written: it exists, and is kept as it is, or its directory is not writable." >&2
    exit 1
fi
echo "$file is made."

#!/bin/sh
# Start SeaweedFS with the keys and permissions of dserver, and delete every hour what the lifecycle rules
# of the buckets say: SeaweedFS keeps rules, but does not apply them by itself. With `lifecycle`, delete
# once. Runs in SeaweedFS's own image.
set -eu

: "${STORE_DIRECTORY:=/data}" "${STORE_ADDRESS:=0.0.0.0}" "${STORE_PORT:=8333}"
: "${MASTER_PORT:=9333}" "${VOLUME_PORT:=8080}" "${FILER_PORT:=8888}"
# Without this key, whoever reaches the gRPC port of the S3 server could make a user there.
: "${STORE_SIGNING_KEY:?}"
export WEED_JWT_FILER_SIGNING_KEY="$STORE_SIGNING_KEY"

delete_expired() {
    weed shell -master="127.0.0.1:$MASTER_PORT" -filer="127.0.0.1:$FILER_PORT" << EOF
s3.lifecycle.run-shard -shards 0-15 -s3 127.0.0.1:$((STORE_PORT + 10000)) -events 0 -refresh 0
EOF
}

if [ "${1:-serve}" = lifecycle ]; then
    delete_expired
    exit
fi

# These become part of the JSON below.
# shellcheck disable=SC2153 # BUCKET is set by Compose
for value in "$BUCKET" "$TEMP_BUCKET" "$STORE_ROOT_PASSWORD" "$S3_ACCESS_KEY_ID" "$S3_SECRET_ACCESS_KEY" \
    "$S3_WRITE_ACCESS_KEY_ID" "$S3_WRITE_SECRET_ACCESS_KEY"; do
    case $value in
        '' | *[!A-Za-z0-9.+/=_-]*)
            echo "Buckets and keys must consist of letters, digits and . + / = _ - only." >&2
            exit 2
            ;;
    esac
done

# allow SUFFIX "ACTIONS" BUCKET…: a statement that allows actions on buckets, or on what is in them.
allow() {
    suffix=$1 actions='' resources=''
    for action in $2; do actions="$actions,\"s3:$action\""; done
    shift 2
    for bucket in "$@"; do resources="$resources,\"arn:aws:s3:::$bucket$suffix\""; done
    printf '{"Effect":"Allow","Action":[%s],"Resource":[%s]}' "${actions#,}" "${resources#,}"
}

# policy NAME STATEMENTS: a named policy, whose text is a string in JSON.
policy() {
    text=$(printf '{"Version":"2012-10-17","Statement":[%s]}' "$2" | sed 's/"/\\"/g')
    printf '{"name":"%s","content":"%s"}' "$1" "$text"
}

# identity NAME ACCESS_KEY SECRET_KEY RIGHTS
identity() {
    printf '{"name":"%s","credentials":[{"accessKey":"%s","secretKey":"%s"}],%s}' "$@"
}

# The permissions of docs/security.rst. Only what is temporary may be given another lifetime.
reading_and_writing=$(allow '/*' 'GetObject PutObject DeleteObject AbortMultipartUpload ListMultipartUploadParts' \
    "$BUCKET" "$TEMP_BUCKET")
listing=$(allow '' 'ListBucket ListBucketMultipartUploads GetLifecycleConfiguration GetBucketVersioning' \
    "$BUCKET" "$TEMP_BUCKET")
lifetime=$(allow '' PutLifecycleConfiguration "$TEMP_BUCKET")
writing=$(allow '/*' PutObject "$BUCKET" "$TEMP_BUCKET")

umask 077
keys=${TMPDIR:-/tmp}/keys.json
printf '{"identities":[%s,%s,%s],"policies":[%s,%s]}\n' \
    "$(identity root root "$STORE_ROOT_PASSWORD" '"actions":["Admin"]')" \
    "$(identity dserver "$S3_ACCESS_KEY_ID" "$S3_SECRET_ACCESS_KEY" '"policyNames":["dserver"]')" \
    "$(identity dserver-write "$S3_WRITE_ACCESS_KEY_ID" "$S3_WRITE_SECRET_ACCESS_KEY" '"policyNames":["dserver-write"]')" \
    "$(policy dserver "$reading_and_writing,$listing,$lifetime")" \
    "$(policy dserver-write "$writing")" \
    > "$keys"

# Not in a container of its own: one that shares the network of this one loses it when this one is
# restarted, and goes on alone. It fails until the server below is ready.
while kill -0 $$ 2> /dev/null; do
    if delete_expired; then sleep 3600; else sleep 10; fi
done &

# Only the S3 server is reached from elsewhere. A bucket begins with seven volumes, which are as large as
# what is in them; -volume.max does not depend on the free space, or a small disk would have no volume for
# the second bucket. Uploads are held in memory until they are written.
exec weed -logtostderr=true server -dir="$STORE_DIRECTORY" -ip=127.0.0.1 -ip.bind=127.0.0.1 \
    -master.port="$MASTER_PORT" -master.telemetry=false -master.electionTimeout=1s -master.volumeSizeLimitMB=10000 \
    -volume.port="$VOLUME_PORT" -volume.max=1000 -volume.preStopSeconds=1 \
    -filer -filer.port="$FILER_PORT" \
    -s3 -s3.ip.bind="$STORE_ADDRESS" -s3.port="$STORE_PORT" -s3.config="$keys" -s3.iam=false \
    -s3.allowedOrigins="${CORS_ORIGINS:-*}" -s3.autoCreateBucket=false -s3.allowDeleteBucketNotEmpty=false \
    -s3.concurrentUploadLimitMB=256 -s3.port.iceberg=0 -s3.port.lance=0

#!/bin/sh
# Make MinIO's bucket, and a user for dserver who may do in it what dserver needs and nothing else.
# Runs in MinIO's own image, which has a shell, mc and little more, at each start; what is there
# already is left as it is. MC_HOST_store, which mc reads by itself, holds the address and the root
# user's password.
set -eu

policy=${TMPDIR:-/tmp}/policy.json
printf '%s\n' "{
    \"Version\": \"2012-10-17\",
    \"Statement\": [
        {
            \"Effect\": \"Allow\",
            \"Action\": [\"s3:GetObject\", \"s3:PutObject\", \"s3:DeleteObject\"],
            \"Resource\": [\"arn:aws:s3:::$BUCKET/*\"]
        },
        {
            \"Effect\": \"Allow\",
            \"Action\": [
                \"s3:ListBucket\",
                \"s3:ListBucketVersions\",
                \"s3:GetBucketLocation\",
                \"s3:GetBucketVersioning\",
                \"s3:GetLifecycleConfiguration\"
            ],
            \"Resource\": [\"arn:aws:s3:::$BUCKET\"]
        }
    ]
}" > "$policy"

mc mb --ignore-existing "store/$BUCKET"
mc admin policy create store dserver "$policy"
mc admin user add store "$S3_ACCESS_KEY_ID" "$S3_SECRET_ACCESS_KEY"
# mc calls it an error if the policy is attached already: what counts is that it is, afterwards.
mc admin policy attach store dserver --user "$S3_ACCESS_KEY_ID" || true
case $(mc admin user info --json store "$S3_ACCESS_KEY_ID") in
    *'"policyName":"dserver"'*) ;;
    *)
        echo "The user of dserver has no rights in the bucket." >&2
        exit 1
        ;;
esac

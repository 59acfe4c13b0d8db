#!/bin/sh
# Make MinIO's bucket and dserver's two users: one may do in it what dserver needs and nothing else,
# the other signs URLs to write and may do nothing but that.
# Runs in MinIO's own image, which has a shell, mc and little more, at each start; what is there
# already is left as it is. MC_HOST_store, which mc reads by itself, holds the address and the root
# user's password.
set -eu

policies=${TMPDIR:-/tmp}
printf '%s\n' "{
    \"Version\": \"2012-10-17\",
    \"Statement\": [
        {
            \"Effect\": \"Allow\",
            \"Action\": [
                \"s3:GetObject\",
                \"s3:PutObject\",
                \"s3:DeleteObject\",
                \"s3:AbortMultipartUpload\",
                \"s3:ListMultipartUploadParts\"
            ],
            \"Resource\": [\"arn:aws:s3:::$BUCKET/*\"]
        },
        {
            \"Effect\": \"Allow\",
            \"Action\": [
                \"s3:ListBucket\",
                \"s3:ListBucketMultipartUploads\",
                \"s3:ListBucketVersions\",
                \"s3:GetBucketLocation\",
                \"s3:GetBucketVersioning\",
                \"s3:GetLifecycleConfiguration\"
            ],
            \"Resource\": [\"arn:aws:s3:::$BUCKET\"]
        }
    ]
}" > "$policies/dserver.json"
printf '%s\n' "{
    \"Version\": \"2012-10-17\",
    \"Statement\": [
        {
            \"Effect\": \"Allow\",
            \"Action\": [\"s3:PutObject\"],
            \"Resource\": [\"arn:aws:s3:::$BUCKET/*\"]
        }
    ]
}" > "$policies/dserver-write.json"

# Make a user who has the policy of this name.
user() {
    mc admin policy create store "$1" "$policies/$1.json"
    mc admin user add store "$2" "$3"
    # mc calls it an error if the policy is attached already: what counts is that it is, afterwards.
    mc admin policy attach store "$1" --user "$2" || true
    case $(mc admin user info --json store "$2") in
        *'"policyName":"'"$1"'"'*) ;;
        *)
            echo "The user of the policy $1 has no rights in the bucket." >&2
            exit 1
            ;;
    esac
}

mc mb --ignore-existing "store/$BUCKET"
user dserver "$S3_ACCESS_KEY_ID" "$S3_SECRET_ACCESS_KEY"
user dserver-write "$S3_WRITE_ACCESS_KEY_ID" "$S3_WRITE_SECRET_ACCESS_KEY"

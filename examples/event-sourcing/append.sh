#!/bin/sh
# Appends one event with nothing but curl:
#
#   append.sh user-17 5 email_changed '{"email":"ada@example.com"}'
#
# 5 is the version that the event makes, one more than the caller has seen. If nobody answers, the same is sent again, and
# written once. If somebody else has appended a version 5 meanwhile, it is refused (422), and the exit status is not 0.
set -eu
user=$1 version=$2 type=$3 data=$4

curl --silent --show-error --fail-with-body --retry 8 --retry-connrefused \
    --header "Idempotency-Key: $user:$version" \
    --data "{\"version\": $version, \"type\": \"$type\", \"data\": $data}" \
    "${TIDEGATE_URL:-http://127.0.0.1:8080}/v1/topics/profile-events/values?key=$user"
echo

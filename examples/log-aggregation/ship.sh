#!/usr/bin/env bash
# The least that ships a log: tail, sed, and one curl whose request never ends. The receipts come out while lines go in.
#
#   ship.sh TOPIC SERVICE FILE
#
# It starts with what is written from now on, follows the file across rotation, and ends when the gateway does: what it says
# for is what it printed a receipt of. ship.py is the one that goes on. Control characters other than tabs become "?".
set -euo pipefail
topic=$1 service=$2 file=$3

tail -n 0 -F -- "$file" 2>/dev/null |
    sed -u -e 's/[\\"]/\\&/g' -e 's/\t/\\t/g' -e 's/[[:cntrl:]]/?/g' -e "s/.*/{\"key\":\"$service\",\"value\":\"&\"}/" |
    curl --silent --show-error --no-buffer --fail-with-body --request POST --upload-file . \
        --header 'Content-Type: application/x-ndjson' "${TIDEGATE_URL:-http://127.0.0.1:8080}/v1/topics/$topic/records"

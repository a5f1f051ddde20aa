#!/usr/bin/env bash
# Ships orders: a member of the consumer group `shipping` that writes a label for each, with curl and no JSON parser.
#
#   ./shipping.sh DIRECTORY [MEMBER]
#
# A label is a file named by its record's place in the log. What comes a second time is written over with the same.
set -euo pipefail
gateway=${TIDEGATE_URL:-http://127.0.0.1:8080}
labels=$1
member=$gateway/v1/groups/shipping/members/${2:-shipping-1}

scratch=$(mktemp -d)
# Whoever leaves frees the partitions at once.
trap 'curl -sS -m 5 -X DELETE "$member" >/dev/null || true; rm -rf "$scratch"' EXIT
trap 'exit 0' TERM INT

ship() {
    local record place
    while read -r record; do
        place=$(sed -E 's/^\{"topic":"[^"]*","partition":([0-9]+),"offset":([0-9]+),.*/\1-\2/' <<<"$record")
        # Written aside and renamed: all of it is there, or nothing.
        printf '%s\n' "$record" >"$labels/.label"
        mv "$labels/.label" "$labels/$place.json"
    done
}

begin='{"topics":["orders"],"wait_ms":5000}'
ask=$begin
while rm -f "$scratch/page"; do
    if curl -sS --fail-with-body -D "$scratch/head" -o "$scratch/page" -H 'Content-Type: application/json' -d "$ask" \
        "$member/poll?format=ndjson"; then
        ship <"$scratch/page"
        # What the next call commits: everything before this cursor.
        cursor=$(sed -n 's/^tidegate-cursor: //p' "$scratch/head" | tr -d '\r')
        ask="{\"wait_ms\":5000,\"cursor\":\"$cursor\"}"
    else
        # Another took over while this one slept: begin anew. After anything else the same is asked again.
        if grep -qs '"retry":"rejoin"' "$scratch/page"; then ask=$begin; fi
        sleep 1
    fi
done

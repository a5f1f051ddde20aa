#!/usr/bin/env bash
# Fifty services' lines are in the archive, byte for byte, although everything is killed and the logs are rotated meanwhile.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR
. ../common.sh

unset TIDEGATE_URL
start_gateway --default-partitions 2 --log warn
work=$(mktemp -d)
at_exit rm -rf "$work"
logs=$work/logs archive=$work/archive
mkdir "$logs" "$archive"

ship() { background ./ship.py "$logs" "$work/shipped" && shipper=$BACKGROUND_PID; }
archive() { background ./archive.py "$archive" "$1"; }
crash() {
    kill -9 -- "-$1"
    wait "$1" 2>/dev/null || true
}
# As logrotate does it, without its compression.
rotate() {
    local log
    for log in "$logs"/*/*.log; do
        if [ -e "$log.2" ]; then mv "$log.2" "$log.3"; fi
        if [ -e "$log.1" ]; then mv "$log.1" "$log.2"; fi
        mv "$log" "$log.1"
    done
}
files() { find "$@" -name '*.log*' -type f | wc -l; }
written() { cat "$logs"/*/*.log* | wc -l; }
records() {
    curl -sS "$TIDEGATE_URL/v1/topics?prefix=logs.&limit=1000" | grep -o '"topic":"[^"]*"' | cut -d '"' -f 4 | while read -r topic; do
        curl -sS "$TIDEGATE_URL/v1/topics/$topic" | grep -o '"records":[0-9]*' | cut -d : -f 2
    done | awk '{ sum += $1 } END { print sum + 0 }'
}
at_least() { [ "$("$2")" -ge "$1" ]; }
fifty_in() { [ "$(files "$1")" -ge 50 ]; }
is_pending() { [ "$(json start <"$1")" -lt "$(json end <"$1")" ]; }
is_shipped() { [ "$(json start <"$1")" -eq "$(json end <"$1")" ]; }
json() { grep -o "\"$1\": *[0-9]*" | grep -o '[0-9]*$'; }
# Records that the archivers have not committed: the total at the end of the answer.
lag_is() { curl -sS "$TIDEGATE_URL/v1/groups/archive/offsets" | grep -q "\"lag\":$1,\"lag_ms\":[0-9]*}\$"; }
more_is_written() { at_least $(($1 + 100)) written; }
new_logs_are_there() { [ "$(files "$logs")" -ge "$1" ]; }

echo "fifty services write; everything is killed, one after the other"
background ./services.py "$logs" 100
services=$BACKGROUND_PID
ship
archive ann
ann=$BACKGROUND_PID
archive bob
bob=$BACKGROUND_PID
eventually "an archive of all services" fifty_in "$archive"

restart_gateway
rotate
eventually "lines in new logs" new_logs_are_there 100
more=$(written)
stop_gateway
eventually "lines while the gateway is away" more_is_written "$more"
run_gateway
crash "$ann"
archive cyd
cyd=$BACKGROUND_PID
crash "$shipper"
rotate
eventually "lines in newer logs, while nobody ships" new_logs_are_there 150
rotate
eventually "lines in still newer logs" new_logs_are_there 200
ship
eventually "as many records as there were lines" at_least "$(written)" records
crash "$shipper"
ship

echo "the services end"
kill "$services"
eventually "the end of the services" has_ended "$services"
[ "$(files "$logs")" -eq 200 ] || fail "there are not four files of each service"
# The last line of this log was never finished.
printf 'cut off by a cr\xe4sh' >>"$logs/shop/web.log"
mv "$logs/shop/web.log" "$logs/shop/web.log.0"
echo "2026-11-23 23:59:59 a line of another day, \"quoted\", with a \\ and $(printf '\033[31mcolour\033[0m')" >"$logs/shop/web.log"
# This line is more than fits into a record when all of it has to be escaped.
{ head -c 300000 /dev/zero | tr '\0' '\033' && echo; } >>"$logs/pay/cards.log"

echo "the archive is what the services wrote, byte for byte and in order"
archive_is_complete() {
    local log service
    for log in "$logs"/*/*.log; do
        service=${log#"$logs"/}
        : >"$work/source"
        for part in "$log.3" "$log.2" "$log.1" "$log.0" "$log"; do
            if [ -e "$part" ]; then cat "$part" >>"$work/source"; fi
        done
        cat "$archive"/*/"$service" 2>/dev/null | cmp -s - "$work/source" || return 1
    done
}
eventually "a complete archive" archive_is_complete
[ "$(files "$archive")" -ge 50 ] || fail "not every service is in the archive"
# The unfinished line is a record too, and the long one is three.
[ "$(records)" -eq $(($(written) + 3)) ] || fail "$(records) records were made of $(written) lines and one without an end"

echo "a shipper that was killed after its lines were written, and before it noted that, writes nothing twice"
state=$work/shipped/shop.web.json
stop_gateway
echo "2026-11-23T23:59:59Z INFO sent once, or twice?" >>"$logs/shop/web.log"
eventually "a chunk that cannot be sent" is_pending "$state"
cp "$state" "$work/noted"
run_gateway
eventually "its receipt" is_shipped "$state"
count=$(records)
crash "$shipper"
cp "$work/noted" "$state"
ship
eventually "the receipt once more" is_shipped "$state"
[ "$(records)" -eq "$count" ] || fail "$(records) records instead of $count"

echo "archivers that were killed after they wrote their files, and before they committed, write nothing twice"
eventually "a complete archive" archive_is_complete
eventually "its commit" lag_is 0
cp -r "$archive/.checkpoints" "$work/old"
for log in "$logs"/*/*.log; do echo "2026-11-23T23:59:59Z INFO archived once, or twice?" >>"$log"; done
eventually "a complete archive" archive_is_complete
for archiver in "$bob" "$cyd"; do crash "$archiver"; done
cp -r "$work/old/." "$archive/.checkpoints"
(cd "$work/old" && find . -name '*.json' | sort -V) | while IFS=/ read -r _ topic partition offset; do
    curl -sS --fail-with-body -o /dev/null -X PUT "$TIDEGATE_URL/v1/groups/archive/offsets" \
        -d "{\"topic\": \"$topic\", \"partition\": $partition, \"offset\": ${offset%.json}, \"force\": true}"
done
lag_is 50 || fail "the group does not read 50 lines again"
archive dan
eventually "a group that has read all" lag_is 0
archive_is_complete || fail "the archive is not what the services wrote"

echo "the way of one request through the services can be found by its id"
id=$(grep -ho 'request=[0-9a-f]*' "$logs"/*/*.log* | sort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }')
topics=$(for team in "$logs"/*/; do printf '&topic=logs.%s' "$(basename "$team")"; done)
curl -sS "$TIDEGATE_URL/v1/records?format=ndjson$topics" >"$work/all"
[ "$(grep -c "$id" "$work/all")" -eq "$(cat "$logs"/*/*.log* | grep -c "$id")" ] || fail "other lines have $id in the topics"
[ "$(grep "$id" "$work/all" | grep -o '"key":"[^"]*"' | sort -u | wc -l)" -gt 1 ] || fail "$id was at one service only"

echo "a new team is shipped and archived by itself"
mkdir "$logs/ops"
echo "hello from ops" >"$logs/ops/backup.log"
ops_is_archived() { cat "$archive"/*/ops/backup.log 2>/dev/null | cmp -s - "$logs/ops/backup.log"; }
eventually "its archive" ops_is_archived

echo "ship.sh: lines arrive while its request is open"
touch "$work/plain.log"
background ./ship.sh plain cart "$work/plain.log" >"$work/receipts" 2>&1
shell=$BACKGROUND_PID
line='he said "C:\temp", and'$'\t''left'
receipts_are() {
    # tail may not follow yet.
    echo "$line" >>"$work/plain.log"
    [ "$(wc -l <"$work/receipts")" -ge "$1" ]
}
eventually "receipts" receipts_are 3
if has_ended "$shell"; then fail "ship.sh has ended: $(cat "$work/receipts")"; fi
first=$(curl -sS "$TIDEGATE_URL/v1/topics/plain/records?format=values&max_records=1")
[ "$first" = '"he said \"C:\\temp\", and\tleft"' ] || fail "the line came as $first"

if [ -d ../../tests/browser/node_modules ]; then
    echo "the page, in a real Chromium"
    TIDEGATE_BIN=$(gateway_binary) node --test page.test.mjs >"$work/page" || fail "$(cat "$work/page")"
else
    echo "(the page is not tested: tests/browser is not installed)"
fi

echo "all well"

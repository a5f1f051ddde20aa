#!/usr/bin/env bash
# Profiles are what the events say: now and then, in Python and JavaScript, across crashes, retries and snapshots.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR
. ../common.sh

unset TIDEGATE_URL
start_gateway --log warn
work=$(mktemp -d)
at_exit rm -rf "$work"
topic=$TIDEGATE_URL/v1/topics/profile-events
now=$(($(date +%s) * 1000))
days_ago_ms() { awk -v now="$now" -v days="$1" 'BEGIN { printf "%.0f", now - days * 86400000 }'; }

events_are() { [ "$(curl -sS "$topic/records?format=ndjson" | wc -l)" -eq "$1" ]; }
same() { [ "$2" = "$3" ] || fail "$1: expected $2, found $3"; }

echo "the gateway is killed while events are appended; each is in the log once"
mkfifo "$work/pipe"
exec 3<>"$work/pipe"
background ./profile.py load --now "$now" <"$work/pipe" >"$work/loaded" 3>&-
loader=$BACKGROUND_PID
head -n 100 events.ndjson >&3
eventually "the first 100 events" events_are 100
stop_gateway
# These are appended to a gateway that is not there.
sed -n 101,150p events.ndjson >&3
run_gateway 3>&-
eventually "the next 50 events" events_are 150
sed -n '151,$p' events.ndjson >&3
exec 3>&-
eventually "the end of the loader" has_ended "$loader"
all=$(wc -l <events.ndjson)
same "what the loader says" "$all events are in the log" "$(cat "$work/loaded")"
events_are "$all" || fail "not every event is in the log once"

echo "the same events again, from a loader that knows nothing of the first, change nothing"
./profile.py load --now "$now" <events.ndjson >/dev/null
events_are "$all" || fail "events were appended twice"

echo "every profile, now and then, is what the file of events says"
for days in 0 3.5 7 14 21 28; do
    python3 expected.py events.ndjson "$days" >"$work/expected-$days"
    ./profile.py show --as-of "$(days_ago_ms "$days")" >"$work/then"
    diff "$work/expected-$days" "$work/then" || fail "these are not the profiles of $days days ago"
done
./profile.py show | cmp - "$work/expected-0" || fail "the profiles now are others"
same "the number of users" 20 "$(grep -c '^  "user-' "$work/expected-0")"
same "the number of users three weeks ago" 7 "$(grep -c '^  "user-' "$work/expected-21")"
if cmp -s "$work/expected-0" "$work/expected-7"; then fail "nothing happened last week: the test looks at too little"; fi
if ./profile.py show user-20 --as-of 7d >"$work/then" 2>&1; then fail "user-20 was there a week ago"; fi
same "what is said of user-20" "there is no user-20 at that time" "$(cat "$work/then")"

echo "JavaScript comes to the same profiles, to the byte"
for user in user-06 user-17 user-20; do
    same "$user" "$(./profile.py show "$user")" "$(node profile.mjs "$user")"
done
week=$(date -u -d "@$(($(days_ago_ms 7) / 1000))" +%FT%TZ)
same "user-17 a week ago" "$(./profile.py show user-17 --as-of "$week")" "$(node profile.mjs user-17 "$week")"

echo "a snapshot and what came after it are the whole"
./profile.py snapshot "$work/snapshot" 2>"$work/said"
same "events for the first snapshot" "read $all events" "$(cat "$work/said")"
restart_gateway
./profile.py append user-17 name_changed '{"name":"Q. Laurent"}' >"$work/said"
same "what append says" "user-17 is at version 8" "$(cat "$work/said")"
./profile.py append user-20 newsletter_changed '{"subscribed":true}' >/dev/null
./profile.py show user-17 --snapshot "$work/snapshot" 2>"$work/said" >"$work/profile"
same "events behind the snapshot" "read 2 events" "$(cat "$work/said")"
same "user-17 from the snapshot" "$(./profile.py show user-17)" "$(cat "$work/profile")"
./profile.py show >"$work/full"
./profile.py show --snapshot "$work/snapshot" 2>/dev/null | cmp - "$work/full" || fail "the snapshot is not what the events add up to"

echo "of two writers who saw the same version one is refused, and a retry is written once"
./append.sh user-17 9 email_changed '{"email":"first@example.com"}' >"$work/first"
./append.sh user-17 9 email_changed '{"email":"first@example.com"}' >"$work/again"
cmp "$work/first" "$work/again" || fail "the retry has another answer"
if ./append.sh user-17 9 email_changed '{"email":"second@example.com"}' >"$work/second" 2>/dev/null; then
    fail "the second writer was not refused"
fi
grep -q '"code":"idempotency_key_reused".*"outcome":"not_written"' "$work/second" || fail "refused otherwise: $(cat "$work/second")"
events_are $((all + 3)) || fail "more was written than the first event"

echo "an event that claims a version which is there counts for nobody, also when its key is long forgotten"
curl -sS --fail-with-body -o /dev/null "$topic/values?key=user-17" \
    -d '{"version":9,"type":"email_changed","data":{"email":"late@example.com"}}'
events_are $((all + 4)) || fail "it is not in the log"
same "the email" first@example.com "$(./profile.py show user-17 | sed -n 's/.*"email": "\(.*\)",/\1/p')"
same "user-17" "$(./profile.py show user-17)" "$(node profile.mjs user-17)"

echo "the topic keeps its events for ever"
curl -sS "$topic" | grep -q '"retention_ms":-1' || fail "the topic drops events"

echo "all well"

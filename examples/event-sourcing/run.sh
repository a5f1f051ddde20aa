#!/usr/bin/env bash
# One command: loads a month of 20 users' events, and shows one profile now, as of last week, and what led there. Ends by
# itself; the gateway with it, unless TIDEGATE_URL names one of your own.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR
. ../common.sh

start_gateway --log warn

show() {
    printf '\n$ %s\n' "$*"
    "$@"
}

echo "$ ./profile.py load < events.ndjson"
./profile.py load <events.ndjson
show ./profile.py history user-17
show ./profile.py show user-17
show ./profile.py show user-17 --as-of 7d
show node profile.mjs user-17
show ./profile.py append user-17 address_changed '{"street":"Rue de Lyon 8","postcode":"75012","city":"Paris","country":"FR"}'
show ./append.sh user-17 9 newsletter_changed '{"subscribed":false}'
show ./append.sh user-17 9 email_changed '{"email":"too@late.example"}' || echo "(exit status $?: somebody else was first)"
show ./profile.py history user-17

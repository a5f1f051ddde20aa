#!/usr/bin/env bash
# A leaderboard in the browser of what is clicked just now: ./run.sh [ACCESS_LOG]. Ctrl-C ends it.
#
# With TIDEGATE_URL it uses that gateway, which needs --cors-origin for the page's origin; else it starts one. The page is
# served at PAGE_PORT (8000; 0 picks one), CLICKS_PER_SECOND (10) are replayed.
set -euo pipefail
log=$(realpath "${1:-$(dirname "$0")/access.log}")
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=../common.sh
. ../common.sh

served() {
    page=$(sed -nE 's|.*(http://127\.0\.0\.1:[0-9]+)/.*|\1|p' "$directory/page" 2>/dev/null)
    [ -n "$page" ] || ! kill -0 "$BACKGROUND_PID" 2>/dev/null
}

serve_page() { python3 -u -m http.server "${PAGE_PORT:-8000}" --bind 127.0.0.1 --directory page >"$directory/page" 2>&1; }

directory=$(mktemp -d)
at_exit rm -rf "$directory"
background serve_page
eventually "the page's server" served
[ -n "$page" ] || fail "the page cannot be served: $(tail -n 1 "$directory/page")"
# The page is of another origin than the gateway: it has to be let in.
start_gateway --cors-origin "$page"

curl -sS --fail-with-body -X PUT -d '{"partition_count":4}' "$TIDEGATE_URL/v1/topics/clicks"
echo
echo "open $page/?gateway=$TIDEGATE_URL"
echo "$(wc -l <"$log") lines of $(basename "$log"), ${CLICKS_PER_SECOND:-10} clicks a second …"
./clicks.py --rate "${CLICKS_PER_SECOND:-10}" <"$log"
echo "that was all of it; more: echo '203.0.113.1 - - [now] \"GET /a-page HTTP/1.1\" 200 0' | TIDEGATE_URL=$TIDEGATE_URL ./clicks.sh"
echo "Ctrl-C ends this"
wait

#!/usr/bin/env bash
# Tests the example: the page in a real Chromium, then run.sh as a person would run it. Ends with a status that says it all.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=../common.sh
. ../common.sh

# Whoever drives the browser is installed beside the other tests of pages.
[ -d ../../tests/browser/node_modules ] || (cd ../../tests/browser && npm ci --silent)
TIDEGATE_BIN=$(gateway_binary)
export TIDEGATE_BIN
node --test page.test.mjs

directory=$(mktemp -d)
at_exit rm -rf "$directory"
told() { grep -Eos "$1" "$directory/told"; }
run() { PAGE_PORT=0 CLICKS_PER_SECOND=1000 ./run.sh >"$directory/told" 2>&1; }

background run
run=$BACKGROUND_PID
eventually "the end of the replay" told 'that was all of it' >/dev/null
page=$(told 'http://[^/]*' | head -n 1)
gateway=$(told 'gateway=http://[0-9.:]*' | cut -d= -f2)
curl -sS --fail-with-body "$page/leaderboard.mjs" | cmp - page/leaderboard.mjs
[ "$(curl -sS --fail-with-body "$gateway/v1/topics/clicks/records?format=values" | wc -l)" = "$(wc -l <access.log)" ] || fail "not each line is a click"
echo '203.0.113.1 - - [now] "GET /a-page HTTP/1.1" 200 0' | TIDEGATE_URL=$gateway ./clicks.sh 2>/dev/null
[ "$(curl -sS --fail-with-body "$gateway/v1/topics/clicks/records?format=values&key=203.0.113.1")" = '{"page":"/a-page"}' ] || fail "the line in Common Log Format is not a click"

end_group "$run"
gone() { ! curl -s "$1" >/dev/null; }
eventually "the end of the page's server" gone "$page"
eventually "the end of the gateway" gone "$gateway"
echo "real-time-analytics: all is as its README says"

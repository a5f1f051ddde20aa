#!/usr/bin/env bash
# Sends the page views of a web server's access log as one request, each line as soon as it is there. Prints a receipt for
# each that is on disk; curl looks for them whenever it sends the next line, and at the end:
#
#   ./clicks.sh < access.log
#   tail -F /var/log/nginx/access.log | ./clicks.sh
#
# If the connection breaks, what has a receipt is written; of the lines behind it nobody knows. clicks.py leaves no doubt.
set -euo pipefail
gateway=${TIDEGATE_URL:-http://127.0.0.1:8080}

# From `ADDRESS - - [TIME] "GET /PAGE HTTP/1.1" 200 …`; pictures, style sheets and scripts are no page views.
clicks() {
    sed -unE -e '/"GET [^" ]*\.(css|js|png|jpe?g|gif|svg|ico|woff2?)[ ?]/d' \
        -e 's|^([0-9a-zA-Z.:-]+) [^"]*"GET ([^]["\\ ?]+)[^"]*" 200 .*|{"key":"\1","value":{"page":"\2"}}|p'
}

# The last line of the answer says whether all went well: the status was sent before.
clicks |
    curl -sSN --fail-with-body -X POST -T - -H 'Content-Type: application/x-ndjson' "$gateway/v1/topics/clicks/records" |
    tee /dev/stderr | tail -n 1 | grep -Eqx '\{"records":[0-9]+\}'

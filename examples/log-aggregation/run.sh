#!/usr/bin/env bash
# One command: fifty services write logs, ship.py sends them, two archivers write them to files by day, and a page searches
# them. Until Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR
. ../common.sh

page=127.0.0.1:$(free_port)
# The page is from another origin than the gateway, which therefore has to know it.
start_gateway --cors-origin "http://$page" --default-partitions 2 --log warn
work=$(mktemp -d)
at_exit rm -rf "$work"

background ./services.py "$work/logs"
background ./ship.py "$work/logs" "$work/shipped"
background ./archive.py "$work/archive" ann
background ./archive.py "$work/archive" bob
background python3 -m http.server "${page#*:}" --bind 127.0.0.1 --directory page >/dev/null 2>&1

has_archived() { compgen -G "$work/archive/*/*/*.log" >/dev/null; }
eventually "an archived line" has_archived

cat <<END

search    http://$page/?gateway=$TIDEGATE_URL
logs      $work/logs
archive   $work/archive

Ctrl-C ends it all.
END
wait

# shellcheck shell=bash
# What run.sh and test.sh have in common, to be sourced: a gateway with the topic `orders`, a bad network before it, the
# services, and what is known of them. Sets DIRECTORY (all that is written is there) and FLAKY_URL.

# shellcheck source-path=SCRIPTDIR source=../common.sh
. ../common.sh

DIRECTORY=$(mktemp -d)
at_exit rm -rf "$DIRECTORY"
mkdir "$DIRECTORY/labels"
# shellcheck disable=SC2119
start_gateway
curl -sS --fail-with-body -o "$DIRECTORY/topic" -X PUT -d '{"partition_count":3}' "$TIDEGATE_URL/v1/topics/orders" ||
    fail "$(cat "$DIRECTORY/topic")"

flaky() { node flaky.mjs >"$DIRECTORY/flaky"; }
background flaky
eventually "the bad network" test -s "$DIRECTORY/flaky"
FLAKY_URL=$(cat "$DIRECTORY/flaky")

# shop FIRST LAST: orders of these lines, through the bad network.
shop() { TIDEGATE_URL=$FLAKY_URL node shop.mjs "$1" "$2"; }

# billing MEMBER [OPTION…]: its process replaces the shell, so that a signal meets it.
billing() { exec ./billing.py --database "$DIRECTORY/billing.db" --member "$@" 2>>"$DIRECTORY/$1.log"; }

shipping() { exec ./shipping.sh "$DIRECTORY/labels" 2>>"$DIRECTORY/shipping.log"; }

# sql STATEMENT: the first value of its answer, from the invoices.
sql() {
    python3 - "$DIRECTORY/billing.db" "$1" <<'PYTHON'
import sqlite3, sys
with sqlite3.connect(f"file:{sys.argv[1]}?mode=rw", uri=True) as database:
    print(*database.execute(sys.argv[2]).fetchone() or ())
PYTHON
}

invoices() { sql 'select count(*) from invoices' 2>/dev/null || echo 0; }

labels() { find "$DIRECTORY/labels" -name '*-*.json' | wc -l; }

# of_group GROUP MEMBER: the number behind each such member of what the gateway says of the group.
of_group() { curl -sS "$TIDEGATE_URL/v1/groups/$1" | grep -Eo "\"$2\":[0-9]+" | cut -d: -f2; }

# How many records the group has committed.
committed() { of_group "$1" next_offset | awk '{ sum += $1 } END { print sum + 0 }'; }

# Whether the group has committed all that there is. The total stands behind the partitions.
done_with_all() { [ "$(of_group "$1" lag | tail -n 1)" = 0 ]; }

# stopped_in_the_middle PID: whether billing has billed some orders that it has not committed. If so, it stands still, and
# between two invoices: the database lets nobody else write while one is being written.
stopped_in_the_middle() {
    kill -STOP "$1"
    if [ "$(invoices)" -ge $(($(committed billing) + 5)) ] && sql 'begin immediate' >/dev/null 2>&1; then return 0; fi
    kill -CONT "$1"
    return 1
}

committed_some() { [ "$(committed billing)" -gt 0 ]; }

# killed PID: ends a service as a crash would, without a word.
killed() {
    kill -9 -- "-$1"
    wait "$1" 2>/dev/null || true
}

#!/usr/bin/env bash
# Tests what the README says of the example, one step after the other. Ends with a status that says it all.
set -euo pipefail
cd "$(dirname "$0")"
# It ends its gateway with kill -9: one of its own.
unset TIDEGATE_URL
# shellcheck source-path=SCRIPTDIR source=scene.sh
. ./scene.sh

say() { echo "-- $*"; }
is() { [ "$2" = "$3" ] || fail "$1: $2, not $3"; }
logged() { grep -qs "$2" "$DIRECTORY/$1.log"; }
has_logged() { logged "$1" "$2" || fail "$1 has not said \"$2\": $(cat "$DIRECTORY/$1.log")"; }
cents() { head -n "$(($1 + 1))" orders.csv | awk -F, 'NR > 1 { cents += int($4 * 100 + 0.5) } END { print cents }'; }
# each_order_billed_once COUNT: the first COUNT orders of orders.csv, to the cent.
each_order_billed_once() {
    is "invoices" "$(invoices)" "$1"
    is "orders billed" "$(sql 'select count(distinct order_id) from invoices')" "$1"
    is "cents billed" "$(sql 'select sum(cents) from invoices')" "$(cents "$1")"
}

node --test function.test.mjs

say "the shop takes orders while nobody bills; a request that is sent again is written once"
shop 1 100 | tee "$DIRECTORY/shop"
grep -Eq ' [1-9][0-9]* times the answer was that' "$DIRECTORY/shop" || fail "no request was sent again after it had been written"
curl -sS --fail-with-body "$TIDEGATE_URL/v1/topics/orders/records?format=values" >"$DIRECTORY/orders"
is "records" "$(wc -l <"$DIRECTORY/orders")" 100
is "orders" "$(grep -Eo '"id":"order-[0-9]+"' "$DIRECTORY/orders" | sort -u | wc -l)" 100

say "an order that is another under the same id is refused, and not tried again"
other='import { handler } from "./function.mjs"
const order = { id: "order-0001", placed_at: "1997-01-01T00:00:00Z", customer: "00004", cds: 99, dollars: 1 }
const { statusCode, body } = await handler({ body: JSON.stringify(order) })
console.log(statusCode, JSON.parse(body).tries, body.includes("idempotency_key_reused"))'
is "the function's answer" "$(node --input-type=module -e "$other")" "502 1 true"

say "billing begins where the topic does, and is killed with work done that is not committed"
background billing billing-1 --work-ms 20 --max-records 40
billing=$BACKGROUND_PID
eventually "a first page of orders" committed_some
eventually "work that is done and not committed" stopped_in_the_middle "$billing"
killed "$billing"
billed=$(invoices)
committed=$(committed billing)

say "the shop goes on without billing, and across kill -9 of the gateway"
background shop 101 200
shop=$BACKGROUND_PID
more_orders() { [ "$(curl -sS "$TIDEGATE_URL/v1/topics/orders/records?format=values" | wc -l)" -gt 100 ]; }
eventually "an order after the first hundred" more_orders
restart_gateway
wait "$shop" || fail "the shop gave up"

say "billing comes back under its name, sees again what it had not committed, and bills each order once"
background billing billing-1
billing=$BACKGROUND_PID
eventually "all orders billed" done_with_all billing
each_order_billed_once 200
has_logged billing-1 "billing: $((200 - billed)) orders billed, $((billed - committed)) were billed already"

say "asked to end it leaves the group; later it picks up where it left off, and sees nothing again"
kill "$billing"
left() { curl -sS "$TIDEGATE_URL/v1/groups/billing" | grep -q '"members":\[\]'; }
eventually "a group without members" left
shop 201 260
is "invoices while billing is away" "$(invoices)" 200
background billing billing-1 --lease-ms 1000 --work-ms 20
billing=$BACKGROUND_PID
eventually "all orders billed" done_with_all billing
each_order_billed_once 260
has_logged billing-1 "billing: 60 orders billed, 0 were billed already"

say "a member that sleeps past its lease is fenced: another goes on, and when it wakes it begins anew"
kill -STOP "$billing"
shop 261 300
kill -CONT "$billing"
eventually "work that is done and not committed" stopped_in_the_middle "$billing"
background billing billing-2
eventually "all orders billed by the other" done_with_all billing
kill -CONT "$billing"
eventually "a member that begins anew" logged billing-1 "begins anew"
each_order_billed_once 300

say "shipping starts last, is killed with the gateway, and labels each order all the same; billing has minded neither"
background shipping
shipping=$BACKGROUND_PID
some_labels() { [ "$(labels)" -gt 0 ]; }
eventually "some labels" some_labels
restart_gateway
killed "$shipping"
shop 301 320
background shipping
eventually "all orders shipped" done_with_all shipping
eventually "all orders billed" done_with_all billing
each_order_billed_once 320
is "labels" "$(labels)" 320
is "orders labelled" "$(cat "$DIRECTORY"/labels/*.json | grep -Eo '"id":"order-[0-9]+"' | sort -u | wc -l)" 320

echo "decoupled-services: all is as its README says"

#!/usr/bin/env bash
# A shop, billing and shipping that know nothing of each other but a topic; none of them minds what is down. Tells what
# happens, and ends with what became of each order. With TIDEGATE_URL it uses that gateway, else it starts one.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=scene.sh
. ./scene.sh

echo "-- Nobody bills and nobody ships; every second request of the shop breaks."
shop 1 120

echo "-- Billing starts, and is killed with kill -9 in the middle of its work."
background billing billing-1 --work-ms 20 --max-records 40
billing=$BACKGROUND_PID
eventually "a first page of orders" committed_some
eventually "work that is done and not committed" stopped_in_the_middle "$billing"
killed "$billing"
echo "$(invoices) orders are billed, $(committed billing) of them are committed."

echo "-- The shop goes on. Shipping starts only now, and has it all from the beginning."
shop 121 320
background shipping
echo "-- Billing starts again."
background billing billing-1
eventually "the last invoice" done_with_all billing
eventually "the last label" done_with_all shipping

cat "$DIRECTORY/billing-1.log"
different=$(sql 'select count(distinct order_id) from invoices')
echo "orders taken: 320, invoices: $(invoices), of different orders: $different, labels: $(labels)"

// The shop, in place of a platform that runs functions: hands the orders FIRST to LAST of orders.csv to the function, one
// after the other, and an order that the function did not get rid of once more. It tells how often the function tried.
//
//   node shop.mjs FIRST LAST

import { readFile } from "node:fs/promises"

import { handler } from "./function.mjs"

const INVOCATIONS_MAX = 6
const [first, last] = process.argv.slice(2).map(Number)
const lines = (await readFile(new URL("orders.csv", import.meta.url), "utf8")).trimEnd().split("\n")
const told = { orders: 0, tries: 0, replayed: 0 }

for (let number = first; number <= last; number++) {
  const [customer, day, cds, dollars] = lines[number].split(",")
  const order = {
    id: `order-${String(number).padStart(4, "0")}`,
    placed_at: `${day}T00:00:00Z`,
    customer,
    cds: Number(cds),
    dollars: Number(dollars),
  }
  const taken = await invoke({ body: JSON.stringify(order) })
  told.orders++
  told.tries += taken.tries
  told.replayed += taken.replayed
}
const { orders, tries, replayed } = told
console.log(`shop: ${orders} orders taken in ${tries} tries, ${replayed} times the answer was that of an earlier try`)

async function invoke(event) {
  let tries = 0
  for (let invocation = 1; ; invocation++) {
    const { statusCode, body } = await handler(event)
    const answer = JSON.parse(body)
    tries += answer.tries
    if (statusCode === 201) return { tries, replayed: answer.replayed }
    if (statusCode !== 503 || invocation === INVOCATIONS_MAX) throw new Error(`${event.body} was not taken: ${answer.detail}`)
  }
}

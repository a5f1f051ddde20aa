// Consumer groups in the console: who is in them, how far they are, and moving and deleting them.

import assert from "node:assert/strict"
import { test } from "node:test"

import { browser, complaints, eventually, gateway } from "./harness.mjs"

const GROUP = "/v1/groups/billing"

/** A gateway with 10 records in `orders`, of which the group `billing` has committed 4. */
async function open(t) {
  const tidegate = await gateway(t)
  const page = await (await browser(t)).page({ viewport: { width: 1600, height: 1000 } })
  await tidegate.call("POST", "/v1/topics/orders/records", { records: Array.from({ length: 10 }, (_, i) => ({ value: i })) })
  await tidegate.call("PUT", `${GROUP}/offsets`, { topic: "orders", offset: 4 })
  return { tidegate, page }
}

const poll = (tidegate, body) => tidegate.call("POST", `${GROUP}/members/ann/poll`, body)

const committed = async tidegate => (await tidegate.call("GET", `${GROUP}/offsets`)).offsets[0].next_offset

test("a page without groups says what one is, with a line that makes one", async t => {
  const tidegate = await gateway(t)
  const page = await (await browser(t)).page()
  await page.goto(tidegate.url + "/#/groups")
  await page.getByRole("heading", { name: "No program reads as a group yet" }).waitFor()
  assert.match(await page.locator("figure", { hasText: "curl" }).first().locator("code").textContent(), /groups\/billing\/members\/ann\/poll/)
})

test("a group shows its members, their leases running down, and how far behind it is", async t => {
  const { tidegate, page } = await open(t)
  await page.goto(tidegate.url + "/#/groups")
  await page.getByRole("link", { name: "billing" }).click()
  await page.getByText("Nobody is reading").waitFor()
  const lag = page.locator(".tile").filter({ has: page.getByText("Lag", { exact: true }) }).locator(".tile-value")
  await eventually("the lag", async () => (await lag.textContent()) === "6")

  const { cursor } = await poll(tidegate, { topics: ["orders"], lease_ms: 60_000, max_records: 2 })
  const member = page.getByRole("row", { name: /^ann/ })
  await member.waitFor()
  assert.match(await member.textContent(), /orders 0/)
  const left = async () => Number(/([\d.]+) (?:s|min)/.exec(await member.locator(".lease-meter").textContent())?.[1] ?? NaN)
  const first = await left()
  await eventually("the lease runs down", async () => (await left()) < first)
  await poll(tidegate, { cursor, max_records: 1 })
  await eventually("the lag after a commit", async () => (await lag.textContent()) === "4")
  const plot = page.getByRole("img", { name: /^Lag over time/ })
  await eventually("the plot says so", async () => /now 4, between 4 and 6/.test(await plot.getAttribute("aria-label")))
  assert.deepEqual(complaints(page), [])
})

test("a member whose lease has run out is shown as gone, and not counted", async t => {
  const { tidegate, page } = await open(t)
  await tidegate.call("POST", `${GROUP}/members/bob/poll`, { topics: ["orders"], lease_ms: 1000 })
  await page.goto(tidegate.url + "/#/groups/billing")
  const row = page.getByRole("row", { name: /^bob .*gone/ }).first()
  await row.waitFor()
  assert.match(await row.getAttribute("class"), /gone/)
  await page.getByText("Nobody is reading").waitFor()
  const tile = page.locator(".tile").filter({ has: page.getByText("Members", { exact: true }) })
  const shown = async () => [await tile.locator(".tile-value").textContent(), await tile.locator(".tile-detail").textContent()]
  assert.deepEqual(await shown(), ["0", "1 gone"])
  assert.equal((await tidegate.call("GET", "/v1/groups")).groups[0].members, 0, "as the list has it")
  await page.getByRole("row", { name: "bob (gone)" }).waitFor()

  await poll(tidegate, { topics: ["orders"], lease_ms: 900_000 })
  await eventually("the living are counted", async () => (await shown())[0] === "1")
  await page.getByText("Nobody is reading").waitFor({ state: "hidden" })
})

test("offsets are moved only after it was shown what would move", async t => {
  const { tidegate, page } = await open(t)
  await page.goto(tidegate.url + "/#/groups/billing")
  await page.getByRole("button", { name: "Move offsets" }).click()
  const dialog = page.getByRole("dialog")
  await dialog.getByRole("button", { name: "Show what would move" }).click()
  await dialog.getByRole("row", { name: "orders / 0 4 0 4 records read again" }).waitFor()
  assert.equal(await committed(tidegate), 4, "it was only shown")

  await dialog.getByRole("radio", { name: "End" }).check()
  assert.equal(await dialog.getByRole("button", { name: /^Move 1/ }).count(), 0, "another target is to be shown first")
  await dialog.getByRole("button", { name: "Show what would move" }).click()
  await dialog.getByRole("row", { name: "orders / 0 4 10 6 records skipped" }).waitFor()
  await dialog.getByRole("button", { name: "Move 1 partition" }).click()
  await dialog.waitFor({ state: "detached" })
  assert.equal(await committed(tidegate), 10)

  // While a member is active it is asked whether to fence it.
  await poll(tidegate, { topics: ["orders"], lease_ms: 900_000 })
  await page.getByRole("row", { name: /^ann/ }).waitFor()
  await page.getByRole("button", { name: "Move offsets" }).click()
  await dialog.getByRole("radio", { name: "Offset" }).check()
  await dialog.getByRole("spinbutton", { name: "Offset" }).fill("7")
  await dialog.getByRole("button", { name: "Show what would move" }).click()
  await dialog.getByText("1 active member").waitFor()
  await dialog.getByLabel("Fence the active members").check()
  await dialog.getByRole("button", { name: "Move 1 partition" }).click()
  await dialog.waitFor({ state: "detached" })
  assert.equal(await committed(tidegate), 7)
})

test("a group is deleted only by whoever types its name, and its records stay", async t => {
  const { tidegate, page } = await open(t)
  await page.goto(tidegate.url + "/#/groups/billing")
  await page.getByRole("button", { name: "Delete" }).click()
  const dialog = page.getByRole("dialog")
  const button = dialog.getByRole("button", { name: "Delete group" })
  assert.ok(await button.isDisabled())
  await dialog.getByRole("button", { name: "Cancel" }).click()
  assert.equal((await tidegate.call("GET", "/v1/groups")).groups.length, 1)
  await page.getByRole("button", { name: "Delete" }).click()
  await dialog.getByLabel("Type billing to confirm").fill("billing")
  await button.click()
  await page.getByRole("heading", { name: "No program reads as a group yet" }).waitFor()
  assert.equal((await tidegate.call("GET", "/v1/groups")).groups.length, 0)
  assert.equal((await tidegate.call("GET", "/v1/topics/orders/partitions/0")).high_watermark, 10)
})

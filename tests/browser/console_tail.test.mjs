// The live tail: filters, pause, restarts of the gateway, floods.

import assert from "node:assert/strict"
import { test } from "node:test"

import { browser, complaints, eventually, gateway } from "./harness.mjs"

/** Values of the rows that are on the screen, the newest first. */
const values = page => page.locator(".virtual-body .virtual-row:visible").evaluateAll(all => all.map(row => row.lastChild.textContent))

const figures = page => page.locator(".figures-line").textContent()

/** How many records the tail says that it has seen. */
const seen = async page => Number(/([\d,]+) records? seen/.exec(await figures(page))?.[1].replaceAll(",", "") ?? -1)

const shows = (page, wanted) => eventually(`rows ${wanted}`, async () => JSON.stringify(await values(page)) === JSON.stringify(wanted))

async function open(t, place, flags) {
  const tidegate = await gateway(t, { flags })
  const page = await (await browser(t)).page({ viewport: { width: 1600, height: 1000 } })
  const write = (topic, records) => tidegate.call("POST", `/v1/topics/${topic}/records`, { records })
  return { tidegate, page, write, go: () => page.goto(tidegate.url + place) }
}

const numbers = (from, n) => Array.from({ length: n }, (_, i) => ({ value: from + i }))

test("a tail begins where it is told, and shows what is asked for", async t => {
  const { tidegate, page, write, go } = await open(t, "/#/topics/t?from=earliest")
  await tidegate.call("PUT", "/v1/topics/t", { partition_count: 2 })
  await write("t", [
    { partition: 0, key: "a", value: "Apple one", timestamp: 1_700_000_000_000 }, { partition: 1, key: "b", value: "pear", timestamp: 1_700_000_100_000 },
    { partition: 0, key: "c", value: 'say "apple"', timestamp: 1_700_000_200_000 },
  ])
  await go()
  await eventually("all", async () => (await seen(page)) === 3)

  await page.getByLabel("Text", { exact: true }).last().fill('"APPLE')
  await shows(page, ['say "apple"'])
  await page.getByLabel("Text", { exact: true }).last().fill("apple")
  await eventually("two", async () => (await values(page)).length === 2)
  await page.getByLabel("Text", { exact: true }).last().fill("")

  const toolbar = page.getByRole("search", { name: "What to show" })
  const last = toolbar.getByLabel("Start at").locator("option[value='-50']")
  await eventually("of how many partitions", async () => (await last.textContent()) === "Last 50 of each partition")
  await toolbar.getByLabel("Partition", { exact: true }).selectOption("1")
  await shows(page, ["pear"])
  assert.equal(await last.textContent(), "Last 50")
  await toolbar.getByLabel("Partition", { exact: true }).selectOption("")
  await toolbar.getByLabel("Start at").selectOption("latest")
  await eventually("nothing yet", async () => (await seen(page)) === 0)
  await page.locator(".state[data-state=live]").waitFor()
  await write("t", [{ partition: 1, value: "new" }])
  await shows(page, ["new"])

  await toolbar.getByLabel("Start at").selectOption("offset")
  await toolbar.getByLabel("Partition", { exact: true }).selectOption("0")
  await toolbar.getByLabel("Offset", { exact: true }).fill("1")
  await toolbar.getByLabel("Offset", { exact: true }).press("Enter")
  await shows(page, ['say "apple"'])
  await toolbar.getByLabel("Offset", { exact: true }).fill("99")
  await toolbar.getByLabel("Offset", { exact: true }).press("Enter")
  await page.getByText("What this means").waitFor()

  await toolbar.getByLabel("Start at").selectOption("time")
  await toolbar.getByLabel("Partition", { exact: true }).selectOption("")
  const local = await page.evaluate(ms => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 19), 1_700_000_150_000)
  await toolbar.getByLabel("Time", { exact: true }).fill(local)
  await toolbar.getByLabel("Time", { exact: true }).press("Enter")
  await eventually("what is not older", async () => (await values(page)).sort().join() === ["new", 'say "apple"'].sort().join())
  assert.match(page.url(), /from=1700000150000/, "the address says what is shown")
  await page.reload()
  await eventually("the same after a reload", async () => (await seen(page)) === 2)

  await toolbar.getByLabel("Start at").selectOption("earliest")
  await toolbar.getByLabel("Partition", { exact: true }).selectOption("1")
  await page.getByLabel("Key", { exact: true }).last().fill("b")
  await page.getByLabel("Key", { exact: true }).last().press("Enter")
  await shows(page, ["pear"])
  assert.deepEqual(complaints(page), [])
})

test("text is told from the JSON that it looks like", async t => {
  const { page, write, go } = await open(t, "/#/topics/t?from=earliest")
  await write("t", [{ value: { from: "page" } }, { value: '{"from":"page"}' }])
  await go()
  await shows(page, ['{"from":"page"}', '{"from":"page"}'])
  const marks = await page.locator(".virtual-body .virtual-row").evaluateAll(all => all.map(row => getComputedStyle(row.lastChild, "::before").content))
  assert.deepEqual(marks, ['"text"', "none"])
})

test("a paused tail stands still, counts what is new, and shows it when it goes on", async t => {
  const { page, write, go } = await open(t, "/#/topics/t")
  await write("t", numbers(0, 2))
  await go()
  await shows(page, ["1", "0"])
  await page.getByRole("button", { name: "Pause" }).click()
  await write("t", numbers(2, 3))
  await page.getByRole("button", { name: "Resume (3 new)" }).waitFor()
  assert.deepEqual(await values(page), ["1", "0"])
  await page.getByRole("button", { name: "Resume" }).click()
  await shows(page, ["4", "3", "2", "1", "0"])
})

test("what waits while a tail is paused is bounded, and nothing is left out when it goes on", async t => {
  const { page, write, go } = await open(t, "/#/topics/t?from=latest")
  await write("t", [{ value: "first" }])
  await go()
  await page.locator(".state[data-state=live]").waitFor()
  await page.getByRole("button", { name: "Pause" }).click()
  for (let i = 0; i < 7; i++) await write("t", numbers(i * 1000, 1000))
  await page.getByRole("button", { name: /Resume \(5,000\+ new\)/ }).waitFor()
  await page.getByRole("button", { name: "Resume" }).click()
  await eventually("all of them", async () => (await seen(page)) === 7000)
  assert.equal((await values(page))[0], "6999")
})

test("a tail from the beginning stops when its list is full, and goes on behind that", async t => {
  const { page, write, go } = await open(t, "/#/topics/t?from=earliest")
  for (let i = 0; i < 12; i++) await write("t", numbers(i * 1000, 1000))
  await go()
  await page.getByRole("button", { name: "Go on reading" }).click()
  await page.getByRole("button", { name: "Go on reading" }).waitFor()
  assert.ok((await seen(page)) < 12_000)
  await page.getByRole("button", { name: "Go on reading" }).click()
  await eventually("the end", async () => (await seen(page)) === 12_000 && (await values(page))[0] === "11999")
})

test("a tail comes back by itself after crashes, with no gap and no repeat", async t => {
  const { tidegate, page, write, go } = await open(t, "/#/topics/t")
  await write("t", numbers(0, 3))
  await go()
  await shows(page, ["2", "1", "0"])
  for (const round of [1, 2]) {
    await page.locator(".state[data-state=live]").waitFor()
    await tidegate.kill()
    await page.locator(".state[data-state=reconnecting]").waitFor()
    await tidegate.restart()
    await write("t", numbers(round * 3, 3))
    await eventually("the records after the crash", async () => (await values(page)).length === 3 + round * 3)
  }
  assert.deepEqual(await values(page), ["8", "7", "6", "5", "4", "3", "2", "1", "0"])
  assert.equal(await seen(page), 9)
  assert.deepEqual(complaints(page), [])
})

test("a thousand records a second are all counted, in a bounded number of elements, and clicks are answered", async t => {
  const { page, write, go } = await open(t, "/#/topics/flood")
  await write("flood", [{ value: "first" }])
  await go()
  await page.locator(".state[data-state=live]").waitFor()
  const before = await page.evaluate(() => document.querySelectorAll("*").length)
  let written = 1, most = 0
  const writing = (async () => {
    for (let i = 0; i < 80; i++) {
      const next = new Promise(done => setTimeout(done, 100))
      await write("flood", Array.from({ length: 100 }, (_, n) => ({ key: `k${n}`, value: { n: i * 100 + n, pad: "x".repeat(200) } })))
      written += 100
      await next
    }
  })()
  await eventually("some of the flood", async () => (await seen(page)) > 1000)
  for (let i = 0; i < 3; i++) {
    await page.getByRole("button", { name: "Pause" }).click()
    await page.getByRole("button", { name: /^Resume/ }).click()
    await page.locator(".virtual-body .virtual-row:visible").nth(3).click({ force: true })
    await page.getByRole("dialog").getByRole("button", { name: "Older" }).click()
    await page.keyboard.press("Escape")
    // The list stays at the record that was looked at, which is no longer near the top.
    await page.getByRole("button", { name: "To the newest" }).click()
    most = Math.max(most, await page.evaluate(() => document.querySelectorAll("*").length))
  }
  await writing
  await eventually("every record", async () => (await seen(page)) === written)
  most = Math.max(most, await page.evaluate(() => document.querySelectorAll("*").length))
  assert.ok(most < before + 400, `${before} elements became ${most}`)
  const list = page.locator(".virtual")
  assert.equal(await list.getAttribute("aria-rowcount"), "5001")
  await list.focus()
  await page.keyboard.press("End")
  await eventually("the oldest that is kept", async () => (await values(page)).at(-1).includes(`"n":${written - 1 - 5000},`))
  assert.deepEqual(complaints(page), [])
})

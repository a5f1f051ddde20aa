// What the README shows for pages, run in one as it stands.

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import { browser, eventually, gateway } from "./harness.mjs"

const README = readFileSync(new URL("../../README.md", import.meta.url), "utf8")

/** The first JavaScript of the README behind `words`. */
function snippet(words) {
  const found = new RegExp(`\\*\\*${words}[^]*?\`\`\`js\\n([^]*?)\`\`\``).exec(README)
  assert.ok(found, `the README has JavaScript behind: ${words}`)
  return found[1]
}

/** What the group has committed in the one partition of `orders`. */
async function committed(tidegate) {
  const answer = await fetch(`${tidegate.url}/v1/groups/billing/offsets`)
  if (answer.status === 404) return 0
  return (await answer.json()).offsets.find(({ topic }) => topic === "orders")?.next_offset ?? 0
}

/** A page of the gateway that runs the member; its `work` waits for `gates[value]`, and throws what that holds. */
async function member(chrome, tidegate) {
  const page = await chrome.page()
  await page.goto(`${tidegate.url}/docs`)
  await page.evaluate(() => {
    window.gates = {}
    window.begun = []
    window.done = []
    window.work = async ({ value }) => {
      begun.push(value)
      await gates[value]
      done.push(value)
    }
  })
  return page
}

test("a member in a page commits nothing before the work on it is done", async t => {
  const tidegate = await gateway(t)
  const page = await member(await browser(t), tidegate)
  await tidegate.call("POST", "/v1/topics/orders/records", { records: [{ value: "a" }, { value: "b" }, { value: "c" }] })
  await page.evaluate(() => { gates.a = new Promise(open => (window.open_a = open)) })
  await page.evaluate(`{ const name = "ann"; ${snippet("In a browser, at least once")} }`)

  await eventually("the work on the first", () => page.evaluate(() => begun.includes("a")))
  // A stream that is opened later has got the last of them: so the first has had time for it.
  await page.evaluate(() => new Promise(came => {
    new EventSource("/v1/topics/orders/records?from=-1").onmessage = () => came()
  }))
  assert.deepEqual(await page.evaluate(() => [begun, done]), [["a"], []])
  assert.equal(await committed(tidegate), 0)

  await page.evaluate(() => open_a())
  await eventually("the commit of all", async () => (await committed(tidegate)) === 3)
  assert.deepEqual(await page.evaluate(() => [begun, done]), [["a", "b", "c"], ["a", "b", "c"]])
})

test("a record whose work fails, or whose commit is refused, comes again, and those behind it too", async t => {
  const tidegate = await gateway(t)
  const page = await member(await browser(t), tidegate)
  await tidegate.call("POST", "/v1/topics/orders/records", { records: [{ value: "a" }, { value: "b" }, { value: "c" }] })
  await page.evaluate(() => {
    window.failures = 1
    const works = work
    window.work = async record => {
      if (record.value === "b" && failures-- > 0) throw new Error("not today")
      await works(record)
    }
  })
  await page.evaluate(`{ const name = "ann"; ${snippet("In a browser, at least once")} }`)
  await eventually("the commit of all", async () => (await committed(tidegate)) === 3)
  assert.deepEqual(await page.evaluate(() => done), ["a", "b", "c"])

  // Another run of the name takes over while a record is worked on: its commit is refused, and it is read again.
  await page.evaluate(() => { gates.d = new Promise(open => (window.open_d = open)) })
  await tidegate.call("POST", "/v1/topics/orders/records", { records: [{ value: "d" }, { value: "e" }] })
  await eventually("the work on it", () => page.evaluate(() => begun.includes("d")))
  await tidegate.call("POST", "/v1/groups/billing/members/ann/poll", { topics: ["orders"], max_records: 1 })
  assert.equal(await committed(tidegate), 3)
  await page.evaluate(() => open_d())
  await eventually("the commit of all", async () => (await committed(tidegate)) === 5)
  const done = await page.evaluate(() => window.done)
  assert.deepEqual(done, ["a", "b", "c", "d", "d", "e"])
})

test("a value that a page writes as JSON is stored as JSON", async t => {
  const tidegate = await gateway(t)
  const page = await member(await browser(t), tidegate)
  await page.evaluate(`(async () => { ${snippet("From a page")} })()`)
  const { records } = await tidegate.call("GET", "/v1/topics/clicks/records?wait_ms=20000&wait_for_topic=true")
  assert.deepEqual(records.map(({ value }) => value), [{ page: "/home" }])
})

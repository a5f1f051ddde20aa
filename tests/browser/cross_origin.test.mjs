// A page of another origin, which the gateway lists, streams with a ticket: the one way that `EventSource` leaves open,
// for it sends no headers. Here the page is on another port and, as `localhost` beside `127.0.0.1`, of another site.

import assert from "node:assert/strict"
import { once } from "node:events"
import { createServer } from "node:http"
import { test } from "node:test"

import { browser, eventually, gateway } from "./harness.mjs"

const ADMIN_KEY = "an-operator-key-that-is-long-enough-for-tests"
const AUTHORIZATION = { authorization: `Bearer ${ADMIN_KEY}` }

/** A server with one empty page, which ends with the test `t`; its origin. */
async function otherSite(t) {
  const server = createServer((_, answer) => {
    answer.setHeader("content-type", "text/html")
    answer.end(`<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Another site</title>`)
  })
  server.listen(0)
  await once(server, "listening")
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://localhost:${server.address().port}`
}

/** A gateway with authentication that lists `origin`, and a topic `ticks` of one partition with the value 0. */
async function guarded(t, origin) {
  const tidegate = await gateway(t, { flags: ["--cors-origin", origin], env: { TIDEGATE_ADMIN_KEY: ADMIN_KEY } })
  await tidegate.call("PUT", "/v1/topics/ticks", { partition_count: 1 }, AUTHORIZATION)
  await write(tidegate, [0])
  return tidegate
}

const write = (tidegate, numbers) =>
  tidegate.call("POST", "/v1/topics/ticks/records", { records: numbers.map(value => ({ value })) }, AUTHORIZATION)

/** What the page does first: it asks for a ticket with its key. A refusal that the page may not read is a `TypeError`. */
const askForTicket = (page, tidegate, more = {}) =>
  page.evaluate(async ([url, key, more]) => {
    const body = JSON.stringify({ topic: "ticks", ...more })
    const headers = { "content-type": "application/json", authorization: `Bearer ${key}` }
    const answer = await fetch(url + "/v1/tickets", { method: "POST", headers, body }).catch(error => error.name)
    return answer.json ? answer.json() : answer
  }, [tidegate.url, ADMIN_KEY, more])

/** Opens a stream in the page, as `window.stream`; what it gets goes to `window.seen`. */
const follow = (page, tidegate, query) =>
  page.evaluate(address => {
    window.seen = []
    window.opened = 0
    window.errors = 0
    window.stream = new EventSource(address)
    stream.onopen = () => opened++
    stream.onerror = () => errors++
    stream.onmessage = event => seen.push(JSON.parse(event.data).value)
  }, `${tidegate.url}/v1/topics/ticks/records${query}`)

const given = (page, name) => page.evaluate(name => window[name], name)
const readyState = page => page.evaluate(() => stream.readyState)

/** The stream was refused once, and the browser does not try again: readyState 2 is CLOSED. */
async function assertClosedForEver(page, why) {
  await eventually(`an error, ${why}`, () => given(page, "errors"))
  assert.equal(await readyState(page), 2, why)
  assert.equal(await given(page, "opened"), 0, why)
}

test("a listed page of another site streams with a ticket and resumes exactly after a crash", async t => {
  const site = await otherSite(t)
  const tidegate = await guarded(t, site)
  const page = await (await browser(t)).page()
  await page.goto(site)
  const { ticket } = await askForTicket(page, tidegate)
  await follow(page, tidegate, `?ticket=${ticket}`)
  await write(tidegate, [1, 2, 3])
  await eventually("the records before the crash", async () => (await given(page, "seen")).length === 4)

  for (const round of [1, 2]) {
    await tidegate.restart()
    await write(tidegate, [round * 10, round * 10 + 1])
    await eventually("the records after the crash", async () => (await given(page, "seen")).length >= 4 + round * 2)
  }
  assert.deepEqual(await given(page, "seen"), [0, 1, 2, 3, 10, 11, 20, 21])
  assert.equal(await given(page, "opened"), 3, "the browser came back by itself")
})

test("without a good ticket a stream is refused for ever", async t => {
  const site = await otherSite(t)
  const tidegate = await guarded(t, site)
  const page = await (await browser(t)).page()
  await page.goto(site)

  await follow(page, tidegate, "")
  await assertClosedForEver(page, "no ticket")
  await follow(page, tidegate, "?ticket=tk_wrong")
  await assertClosedForEver(page, "no ticket of ours")

  const short = await askForTicket(page, tidegate, { expires_in_ms: 1 })
  await eventually("the end of the ticket", () => Date.now() > short.expires_at)
  await follow(page, tidegate, `?ticket=${short.ticket}`)
  await assertClosedForEver(page, "a ticket that ended")

  const { ticket } = await askForTicket(page, tidegate)
  await follow(page, tidegate, `?ticket=${ticket.slice(0, -2)}AA`)
  await assertClosedForEver(page, "a ticket with a forged end")
  await follow(page, tidegate, `?ticket=${ticket}`)
  await eventually("the record, with the good one", async () => (await given(page, "seen")).length === 1)
})

test("a ticket that ends while its stream is open ends the stream, which says so and comes back no more", async t => {
  const site = await otherSite(t)
  const tidegate = await guarded(t, site)
  const page = await (await browser(t)).page()
  await page.goto(site)
  const { ticket } = await askForTicket(page, tidegate, { expires_in_ms: 10_000 })
  await follow(page, tidegate, `?ticket=${ticket}`)
  await page.evaluate(() => stream.addEventListener("problem", event => (window.problem = JSON.parse(event.data).code)))
  const said = await eventually("the problem", () => given(page, "problem"))
  assert.equal(said, "unauthorized")
  await eventually("the end", async () => (await readyState(page)) === 2)
  assert.deepEqual(await given(page, "seen"), [0])
})

test("a page that is not listed gets neither a ticket nor, with one, a stream", async t => {
  const [listed, unlisted] = [await otherSite(t), await otherSite(t)]
  const tidegate = await guarded(t, listed)
  const chrome = await browser(t)
  const [friend, stranger] = [await chrome.page(), await chrome.page()]
  await friend.goto(listed)
  await stranger.goto(unlisted)
  const { ticket } = await askForTicket(friend, tidegate)

  assert.equal(await askForTicket(stranger, tidegate), "TypeError")
  await follow(stranger, tidegate, `?ticket=${ticket}`)
  await assertClosedForEver(stranger, "another origin")
  await follow(friend, tidegate, `?ticket=${ticket}`)
  await eventually("the record, on the page that is listed", async () => (await given(friend, "seen")).length === 1)
})

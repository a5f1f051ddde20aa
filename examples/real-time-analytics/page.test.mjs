// The leaderboard in a real Chromium: whatever is killed or loaded again, its counts are those of the clicks that were sent.

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFile } from "node:fs/promises"
import { createInterface } from "node:readline"
import { test } from "node:test"
import { fileURLToPath } from "node:url"

import { browser, eventually, gateway } from "../../tests/browser/harness.mjs"

const here = fileURLToPath(new URL(".", import.meta.url))
const log = (await readFile(new URL("access.log", import.meta.url), "utf8")).trimEnd().split("\n")

/** page → views, as the log tells it. */
function viewsOf(lines) {
  const views = {}
  for (const line of lines) {
    const page = line.split(" ")[6]
    views[page] = (views[page] ?? 0) + 1
  }
  return views
}

/** Serves the page as run.sh does, and gives its origin. */
async function served(t) {
  const server = spawn("python3", ["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", "page"], { cwd: here })
  t.after(() => server.kill())
  for await (const line of createInterface({ input: server.stdout })) {
    server.stdout.resume()
    return /http:\/\/127\.0\.0\.1:\d+/.exec(line)[0]
  }
}

/** Starts a producer with `lines` to send; gives a promise of its exit status. */
async function produce(t, tidegate, command, lines) {
  const producer = spawn(`./${command[0]}`, command.slice(1), {
    cwd: here,
    env: { ...process.env, TIDEGATE_URL: tidegate.url },
    stdio: ["pipe", "ignore", "ignore"],
  })
  t.after(() => producer.kill())
  producer.stdin.on("error", () => {})
  producer.stdin.end(lines.map(line => line + "\n").join(""))
  return once(producer, "exit").then(([status]) => status)
}

/** A gateway with the topic, and the page, not yet opened. */
async function stage(t) {
  const origin = await served(t)
  const tidegate = await gateway(t, { flags: ["--cors-origin", origin] })
  await tidegate.call("PUT", "/v1/topics/clicks", { partition_count: 4 })
  const page = await (await browser(t)).page()
  return { tidegate, page, url: `${origin}/?gateway=${tidegate.url}` }
}

const total = async page => Number(await page.locator("#total").textContent())

async function totals(page) {
  const rows = await page.locator("#pages tr").evaluateAll(rows => rows.map(row => [...row.cells].map(cell => cell.textContent)))
  return Object.fromEntries(rows.map(([page, clicks]) => [page, Number(clicks)]))
}

const live = page => page.locator("#state.live").waitFor()

test("counts are those of the log, across kill -9 of the gateway and reloads of the page", async t => {
  const { tidegate, page, url } = await stage(t)
  await page.goto(url)
  await live(page)

  const half = log.length / 2
  assert.equal(await produce(t, tidegate, ["clicks.sh"], log.slice(0, half)), 0)
  await eventually("the first half", async () => (await total(page)) === half)
  assert.deepEqual(await totals(page), viewsOf(log.slice(0, half)))

  const sent = produce(t, tidegate, ["clicks.py", "--rate", "200"], log.slice(half))
  await eventually("some of the second half", async () => (await total(page)) > half)
  await tidegate.restart()
  const reloadedAt = await total(page)
  await page.reload()
  await eventually("clicks after the reload", async () => (await total(page)) > reloadedAt)
  await tidegate.restart()
  assert.equal(await sent, 0)
  await eventually("all clicks", async () => (await total(page)) === log.length)
  assert.deepEqual(await totals(page), viewsOf(log))
})

test("a page that is loaded again shows its counts while the gateway is down, and goes on behind them", async t => {
  const { tidegate, page, url } = await stage(t)
  const click = name => tidegate.call("POST", "/v1/topics/clicks/records", { records: [{ value: { page: name } }] })
  await click("/a")
  await page.goto(url)
  await eventually("the first click", async () => (await total(page)) === 1)

  await tidegate.kill()
  await page.reload()
  await eventually("the count", async () => (await total(page)) === 1)

  await tidegate.restart()
  await click("/b")
  await eventually("the second click", async () => (await total(page)) === 2)
  const asked = page.waitForRequest(request => request.url().includes("last_event_id="))
  await page.reload()
  await asked
  await live(page)
  await click("/b")
  await eventually("the third click", async () => (await total(page)) === 3)
  assert.deepEqual(await totals(page), { "/a": 1, "/b": 2 })
})

test("what was counted but not stored when the page ended is counted once", async t => {
  const { tidegate, page, url } = await stage(t)
  const click = name => tidegate.call("POST", "/v1/topics/clicks/records", { records: [{ value: { page: name } }] })
  await click("/a")
  await page.goto(url)
  await eventually("the first click, stored", () => page.evaluate(() => localStorage.length === 1))
  await page.evaluate(() => (Storage.prototype.setItem = () => {}))
  await click("/b")
  await eventually("the second click", async () => (await total(page)) === 2)

  await page.reload()
  await eventually("the second click again", async () => (await total(page)) === 2)
  await click("/c")
  await eventually("the third click", async () => (await total(page)) === 3)
  assert.deepEqual(await totals(page), { "/a": 1, "/b": 1, "/c": 1 })
})

test("trending is the last minute by the clicks' own timestamps, and a click on a name is one, or told", async t => {
  const { tidegate, page, url } = await stage(t)
  const old = Date.now() - 600_000
  await tidegate.call("POST", "/v1/topics/clicks/records", {
    records: [
      { timestamp: old, value: { page: "/old" } },
      { timestamp: old, value: { page: "/old" } },
      { value: { page: "/new" } },
    ],
  })
  await page.goto(url)
  await eventually("all three", async () => (await total(page)) === 3)
  assert.deepEqual(await page.locator("#board tr").first().locator("td").first().textContent(), "/new")
  assert.equal(await page.locator("#recent").textContent(), "1")

  await page.getByRole("button", { name: "/old" }).click()
  await eventually("the click", async () => (await total(page)) === 4)
  assert.deepEqual(await totals(page), { "/old": 3, "/new": 1 })
  assert.equal(await page.locator("#recent").textContent(), "2")

  await page.route("**", route => (route.request().method() === "POST" ? route.abort() : route.continue()))
  await page.getByRole("button", { name: "/new" }).click()
  await page.getByRole("status").filter({ hasText: "not clicked" }).waitFor()
})

test("a topic that was deleted and made again is told, and counted from the beginning when asked", async t => {
  const { tidegate, page, url } = await stage(t)
  const click = () => tidegate.call("POST", "/v1/topics/clicks/records", { records: [{ value: { page: "/a" } }] })
  await click()
  await click()
  await page.goto(url)
  await eventually("both", async () => (await total(page)) === 2)

  await tidegate.call("DELETE", "/v1/topics/clicks")
  await click()
  await page.getByRole("status").filter({ hasText: "deleted" }).waitFor()
  assert.equal(await total(page), 2)
  await page.getByRole("button", { name: "Count from the beginning" }).click()
  await eventually("the one click", async () => (await total(page)) === 1)
})

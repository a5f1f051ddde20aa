// The search page in a real Chromium: what it finds, and that it goes on after a crash with each line once.

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { test } from "node:test"
import { fileURLToPath } from "node:url"

import { browser, eventually, gateway } from "../../tests/browser/harness.mjs"

const PAGE = fileURLToPath(new URL("page", import.meta.url))

/** Serves the page as run.sh does, and gives its origin. */
async function pageServer(t) {
  const flags = ["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", PAGE]
  const child = spawn("python3", flags, { stdio: ["ignore", "pipe", "ignore"] })
  t.after(async () => {
    child.kill()
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
  })
  for await (const line of createInterface({ input: child.stdout })) {
    const port = /port (\d+)/.exec(line)
    if (port) return `http://127.0.0.1:${port[1]}`
  }
  throw new Error("the page's server did not start")
}

const FIRST = "INFO request=abc GET /1 200"
const SECOND = "WARNING request=abc answered 404"
const THIRD = "ERROR <b>request=def</b> cannot be answered"

const line = (key, value, minutesAgo = 0) => ({ key, value, timestamp: Date.now() - minutesAgo * 60_000 })

async function open(t) {
  const origin = await pageServer(t)
  const tidegate = await gateway(t, { flags: ["--cors-origin", origin, "--default-partitions", "2"] })
  const write = (team, ...records) => tidegate.call("POST", `/v1/topics/logs.${team}/records`, { records })
  // The line of yesterday was shipped last.
  await write("shop", line("web", FIRST, 2), line("cart", SECOND, 1), line("web", "yesterday", 1500))
  await write("pay", line("cards", THIRD))
  const page = await (await browser(t)).page()
  await page.goto(`${origin}/?gateway=${encodeURIComponent(tidegate.url)}`)
  return { tidegate, write, page }
}

const shows = (page, ...expected) => eventually(`the lines ${expected}`, async () => {
  const found = (await page.locator("li span").allTextContents()).sort()
  return JSON.stringify(found) === JSON.stringify([...expected].sort())
})

test("the page finds lines by text, service, team and time, of before and from now on", async t => {
  const { write, page } = await open(t)
  await shows(page, FIRST, SECOND, THIRD)
  assert.deepEqual(await page.locator("li span").allTextContents(), [THIRD, SECOND, FIRST], "the newest comes first")
  await page.getByLabel("Text").fill("REQUEST=abc")
  await shows(page, FIRST, SECOND)
  await write("shop", line("checkout", "request=abc too"), line("web", "request=xyz not"))
  await shows(page, FIRST, SECOND, "request=abc too")
  await page.getByLabel("Service").fill("cart")
  await page.getByLabel("Service").press("Tab")
  await shows(page, SECOND)
  await page.getByLabel("Service").fill("")
  await page.getByLabel("Text").fill("")
  await page.getByLabel("Team").selectOption("pay")
  await shows(page, THIRD)
  await page.getByLabel("Team").selectOption("shop")
  await page.getByLabel("Since").selectOption("the beginning")
  await shows(page, FIRST, SECOND, "request=abc too", "request=xyz not", "yesterday")
  assert.deepEqual(page.complaints, [])
})

test("after a crash of the gateway the page goes on by itself, with each line once", async t => {
  const { tidegate, write, page } = await open(t)
  await shows(page, FIRST, SECOND, THIRD)
  for (const round of ["one", "two"]) {
    await tidegate.kill()
    await page.getByText(/connecting/).waitFor()
    await tidegate.restart()
    await write("shop", line("web", round))
    await page.locator("li span", { hasText: round }).waitFor()
  }
  await shows(page, FIRST, SECOND, THIRD, "one", "two")
})

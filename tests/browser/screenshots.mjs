// Makes the pictures of the console in docs/screenshots: every view, narrow and wide, light and dark.
//     node screenshots.mjs

import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

import { fill, live } from "./content.mjs"
import { browser, eventually, gateway } from "./harness.mjs"

const FOLDER = fileURLToPath(new URL("../../docs/screenshots", import.meta.url))
/** How long things go on before the pictures, so that the plots have something to show. */
const LIVE_MS = 70_000
const SIZES = [[1600, 1000], [360, 780]]

const press = name => page => page.getByRole("button", { name, exact: true }).click()
const wait = ms => new Promise(next => setTimeout(next, ms))

/** Views: a name, where it is, what is there when it is, and what is done then. */
const VIEWS = [
  ["group", "#/groups/billing", ".lease-meter"],
  ["move", "#/groups/billing", ".lease-meter", showMove],
  ["topics", "#/topics", "tbody .name"],
  ["records", "#/topics/clicks", ".state[data-state=live]", writeOne],
  ["record", "#/topics/orders?from=-20", ".virtual-body .virtual-row", openOne],
  ["partitions", "#/topics/clicks/partitions", ".log-drawing .cell"],
  ["settings", "#/topics/orders/settings", ".columns"],
  ["bytes", "#/topics/thumbnails/0/0", ".value.dump"],
  ["groups", "#/groups", "tbody .name"],
  ["node", "#/node", ".plot .line"],
]

async function writeOne(page) {
  const write = page.locator(".write")
  await write.evaluate(element => (element.open = true))
  await write.getByLabel("Key", { exact: true }).fill("ann")
  await press("Write record")(page)
  await page.getByText("Written, and on disk").waitFor()
  await page.locator(".virtual-row", { hasText: '{"page":"/home","user":"ann"}' }).waitFor()
  if (page.viewportSize().width < 700) await page.locator(".tail").evaluate(element => element.scrollIntoView())
}

async function openOne(page) {
  await press("Pause")(page)
  await page.locator(".virtual-body .virtual-row").nth(1).click()
  await page.getByRole("dialog").waitFor()
}

async function showMove(page) {
  await press("Move offsets …")(page)
  await press("Show what would move")(page)
  await page.getByText("nothing has been changed yet").waitFor()
}

/** What ends with the program, as with a test. */
const ends = []
const run = { after: end => ends.unshift(end) }

try {
  await mkdir(FOLDER, { recursive: true })
  const chrome = await browser(run)
  const fresh = await gateway(run), tidegate = await gateway(run)
  await fill(tidegate)
  const over = new AbortController()
  run.after(() => over.abort())
  const living = live(tidegate, over.signal)
  const open = []
  for (const colorScheme of ["light", "dark"]) {
    for (const [width, height] of SIZES) {
      const page = await chrome.page({ viewport: { width, height }, colorScheme, reducedMotion: "reduce" })
      // Figures come in from here on, also while other views are open; so do the lags of a group that is looked at.
      await page.goto(`${tidegate.url}/#/groups/billing`)
      open.push([page, width, colorScheme])
    }
  }
  await wait(LIVE_MS)
  for (const [page, width, theme] of open) {
    const shoot = name => page.screenshot({ path: join(FOLDER, `${name}-${width}-${theme}.png`), animations: "disabled" })
    for (const [name, place, there, act] of VIEWS) {
      await page.evaluate(place => (location.hash = place), place)
      await page.locator(there).first().waitFor()
      await eventually("all of it", async () => (await page.getByText("Loading …").count()) === 0)
      if (act) await act(page)
      // The lines of rates take a while to become some.
      await wait({ topics: 12_000, records: 8_000 }[name] ?? 400)
      await shoot(name)
      await page.keyboard.press("Escape")
    }
    await page.goto(fresh.url)
    await page.getByRole("heading", { name: "Write your first record" }).waitFor()
    await shoot("first")
  }
  over.abort()
  await living
} finally {
  for (const end of ends) await end()
}

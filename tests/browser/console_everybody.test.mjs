// The console for everybody: with a keyboard alone, with a screen reader, narrow and wide, light and dark.

import assert from "node:assert/strict"
import { test } from "node:test"

import { fill } from "./content.mjs"
import { barriers, browser, eventually, gateway } from "./harness.mjs"

/** Every view, and what is there when it is. */
export const VIEWS = [
  ["topics", "/#/topics", "tbody .name"],
  ["records", "/#/topics/clicks?from=earliest", ".virtual-body .virtual-row"],
  ["partitions", "/#/topics/clicks/partitions", ".log-drawing .cell"],
  ["settings", "/#/topics/clicks/settings", ".columns"],
  ["record", "/#/topics/orders/0/3", ".value"],
  ["bytes", "/#/topics/thumbnails/0/0", ".value.dump"],
  ["groups", "/#/groups", "tbody .name"],
  ["group", "/#/groups/billing", ".lease-meter"],
  ["node", "/#/node", ".plot .line"],
  ["none", "/#/no/such/view", "h1"],
]

const DIALOGS = [
  ["/#/topics", "Create a topic"],
  ["/#/groups/billing", "Move offsets …"],
  ["/#/groups/billing", "Delete …"],
  ["/#/topics/clicks/settings", "Delete topic …"],
  ["/#/topics", "Key"],
]

/** A gateway with something in it, and a group with a member that stays. */
async function filled(t) {
  const tidegate = await gateway(t)
  await fill(tidegate)
  await tidegate.call("POST", "/v1/groups/billing/members/ann/poll", { topics: ["orders"], max_records: 4, lease_ms: 900_000 })
  return tidegate
}

for (const [width, colorScheme] of [[1600, "light"], [1600, "dark"], [360, "light"], [360, "dark"]]) {
  test(`no view has a barrier, overflows or complains, ${width} px wide and ${colorScheme}`, async t => {
    const tidegate = await filled(t)
    const page = await (await browser(t)).page({ viewport: { width, height: 900 }, colorScheme, reducedMotion: "reduce" })
    const check = async what => {
      assert.deepEqual(await barriers(page), [], what)
      const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
      assert.ok(wide <= window, `${what} is ${wide} px wide in ${window}`)
    }
    for (const [name, place, there] of VIEWS) {
      await page.goto(tidegate.url + place)
      await page.locator(there).first().waitFor()
      await page.locator("details").evaluateAll(all => all.forEach(one => (one.open = true)))
      await check(name)
    }
    for (const [place, button] of DIALOGS) {
      await page.goto(tidegate.url + place)
      await page.getByRole("button", { name: button, exact: true }).click()
      await page.getByRole("dialog").waitFor()
      await eventually("what is in it", async () => !(await page.getByRole("dialog").textContent()).includes("Asking …"))
      await check(button)
      await page.keyboard.press("Escape")
    }
    await page.goto(tidegate.url + "/#/topics/clicks?from=earliest")
    await page.locator(".virtual-body .virtual-row").nth(2).click()
    await page.getByRole("dialog").waitFor()
    await check("a record in the tail")
    assert.deepEqual(page.complaints, [])
  })
}

test("an empty gateway has no barrier, either", async t => {
  const tidegate = await gateway(t)
  const page = await (await browser(t)).page({ viewport: { width: 360, height: 800 } })
  for (const [place, heading] of [["/", "Write your first record"], ["/#/groups", "No program reads as a group yet"], ["/#/topics/not-there", "not-there"]]) {
    await page.goto(tidegate.url + place)
    await page.getByRole("heading", { name: heading }).first().waitFor()
    assert.deepEqual(await barriers(page), [], place)
  }
})

test("everything can be done with a keyboard", async t => {
  const tidegate = await gateway(t)
  const page = await (await browser(t)).page({ viewport: { width: 1600, height: 1000 } })
  const press = key => page.keyboard.press(key)
  /** Goes on with Tab until something of this name has the focus, which has to be seen. */
  const tabTo = async name => {
    for (let i = 0; i < 80; i++) {
      await press("Tab")
      const at = await page.evaluate(() => {
        const it = document.activeElement
        const label = it.getAttribute("aria-label") ?? it.labels?.[0]?.textContent ?? it.textContent
        return [label.trim(), it.matches(":focus-visible")]
      })
      if (at[0] !== name) continue
      assert.ok(at[1], `${name} shows that it has the focus`)
      return
    }
    assert.fail(`Tab does not lead to ${name}`)
  }
  await page.goto(tidegate.url)
  await page.getByRole("button", { name: "Write record" }).waitFor()
  await tabTo("To the content")
  await press("Enter")
  await tabTo("Value (JSON)")
  await press("Control+A")
  await page.keyboard.type('{"by":"keyboard"}')
  await tabTo("Write record")
  await press("Enter")
  await page.locator(".virtual-row", { hasText: "keyboard" }).waitFor()

  await tabTo("Records of clicks, the newest first")
  await press("ArrowDown")
  await press("Enter")
  const dialog = page.getByRole("dialog")
  await dialog.getByRole("region", { name: "Value" }).waitFor()
  await press("Escape")
  await dialog.waitFor({ state: "detached" })
  await tabTo("Do this with curl or JavaScript")
  await press("Enter")
  await tabTo("Copy curl: follow")

  await page.goto(tidegate.url + "/#/topics")
  await page.getByRole("link", { name: "clicks" }).waitFor()
  await tabTo("What is: partition?")
  await press("Enter")
  await page.locator(".tip-text:popover-open").waitFor()
  await press("Escape")
  await tabTo("clicks")
  await press("Enter")
  await page.getByRole("heading", { name: "clicks" }).waitFor()
  await eventually("the heading has the focus", () => page.evaluate(() => document.activeElement.tagName === "H1"))
  await tabTo("Settings")
  await press("Enter")
  await page.getByRole("button", { name: "Delete topic" }).waitFor()
  await tabTo("Delete topic …")
  await press("Enter")
  await dialog.getByLabel("Type clicks to confirm").waitFor()
  await page.keyboard.type("clicks")
  await press("Enter")
  await page.getByRole("heading", { name: "Write your first record" }).waitFor()
})

test("words are explained where they stand", async t => {
  const tidegate = await filled(t)
  const page = await (await browser(t)).page({ viewport: { width: 1600, height: 1000 } })
  const words = {
    "/#/topics/clicks?from=earliest": ["partition", "offset", "key", "tail", "retention"],
    "/#/topics/clicks/partitions": ["partition", "offset", "end"],
    "/#/groups": ["group", "state of a group", "member", "lag", "oldest waits", "strategy"],
    "/#/groups/billing": ["member", "lease", "epoch", "committed", "end", "done", "lag", "oldest waits"],
  }
  for (const [place, all] of Object.entries(words)) {
    await page.goto(tidegate.url + place)
    for (const word of all) {
      await page.getByRole("button", { name: `What is: ${word}?` }).last().click()
      const text = await page.locator(".tip-text:popover-open").textContent()
      assert.ok(text.length > 40, `${word}: ${text}`)
      await page.keyboard.press("Escape")
    }
  }
  // A tip in the head of the list is a button of its own: Enter on it opens no record.
  await page.goto(tidegate.url + "/#/topics/clicks?from=earliest")
  await page.locator(".virtual-body .virtual-row").first().waitFor()
  await page.locator(".virtual").focus()
  await page.locator(".virtual").getByRole("button", { name: "What is: offset?" }).press("Enter")
  await page.locator(".tip-text:popover-open").waitFor()
  assert.equal(await page.getByRole("dialog").count(), 0)
})

test("what has the focus keeps it while figures come in", async t => {
  const tidegate = await filled(t)
  const page = await (await browser(t)).page({ viewport: { width: 1600, height: 1000 } })
  for (const [place, link] of [["/#/topics", "clicks"], ["/#/topics/clicks/partitions", "Read partition 2 from start"], ["/#/groups/billing", /^orders \/ 1/]]) {
    await page.goto(tidegate.url + place)
    await page.getByRole("link", { name: link }).focus()
    const before = await page.locator("main").textContent()
    await eventually("other figures", async () => {
      await tidegate.call("POST", "/v1/topics/clicks/records", { records: [{ key: "bob", value: 1 }] })
      await tidegate.call("POST", "/v1/topics/orders/records", { records: [{ value: 1 }] })
      return (await page.locator("main").textContent()) !== before
    })
    assert.ok(await page.getByRole("link", { name: link }).evaluate(element => element === document.activeElement), place)
  }
})

test("the theme can be chosen, and is kept", async t => {
  const tidegate = await gateway(t)
  const page = await (await browser(t)).page({ colorScheme: "light" })
  await page.goto(tidegate.url)
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor)
  const light = await ground()
  await page.getByRole("button", { name: "Use the dark theme" }).click()
  const dark = await ground()
  assert.notEqual(dark, light)
  await page.reload()
  await page.getByRole("button", { name: "Use the light theme" }).waitFor()
  assert.equal(await ground(), dark)
})

// The console of a gateway that asks for keys.

import assert from "node:assert/strict"
import { test } from "node:test"

import { browser, complaints, eventually, gateway } from "./harness.mjs"

const ADMIN_KEY = "an-operator-key-that-is-long-enough-for-tests"
const AUTHORIZATION = { authorization: `Bearer ${ADMIN_KEY}` }

async function guarded(t) {
  const tidegate = await gateway(t, { env: { TIDEGATE_ADMIN_KEY: ADMIN_KEY } })
  const records = [{ value: "a secret" }]
  await tidegate.call("POST", "/v1/topics/sec-a/records", { records }, AUTHORIZATION)
  await tidegate.call("POST", "/v1/topics/pub-a/records", { records: [{ value: "for all" }] }, AUTHORIZATION)
  return tidegate
}

/** Every URL that the page asks for. */
function watch(page) {
  const urls = []
  page.on("request", request => urls.push(request.url()))
  return urls
}

async function give(page, key) {
  const dialog = page.getByRole("dialog", { name: "This gateway asks for a key" })
  await dialog.getByLabel("Key", { exact: true }).fill(key)
  await dialog.getByRole("button", { name: "Use this key" }).click()
}

test("the key is asked for, kept in the session only, and never in a URL; streams go by tickets", async t => {
  const tidegate = await guarded(t)
  const chrome = await browser(t)
  const page = await chrome.page({ viewport: { width: 1600, height: 1000 } })
  const urls = watch(page)
  await page.goto(tidegate.url + "/#/topics/sec-a")
  await give(page, "not-the-key-that-it-wants-but-long-enough")
  await page.getByText("does not know this key").waitFor()
  await give(page, ADMIN_KEY)
  await page.locator(".virtual-row", { hasText: "a secret" }).waitFor()
  await tidegate.call("POST", "/v1/topics/sec-a/records", { records: [{ value: "live" }] }, AUTHORIZATION)
  await page.locator(".virtual-row", { hasText: "live" }).waitFor()
  await eventually("a stream", () => urls.some(url => url.includes("ticket=tk_")))
  assert.deepEqual(urls.filter(url => url.includes(ADMIN_KEY)), [])
  const kept = await page.evaluate(() => [JSON.stringify({ ...localStorage }), document.cookie, location.href, JSON.stringify(history.state)])
  assert.ok(kept.every(text => !text.includes("operator-key")), kept.join())

  // What can be copied names a variable, and works.
  await page.locator(".produce").getByText("The same with curl or JavaScript").click()
  const texts = await page.locator(".produce code").allTextContents()
  assert.ok(texts[0].includes('-H "Authorization: Bearer $TIDEGATE_KEY"'), texts[0])
  assert.ok(!(await page.content()).includes(ADMIN_KEY))

  // A stream that is refused goes on with another ticket, behind the last record.
  await tidegate.restart()
  await tidegate.call("POST", "/v1/topics/sec-a/records", { records: [{ value: "after the crash" }] }, AUTHORIZATION)
  await page.locator(".virtual-row", { hasText: "after the crash" }).waitFor()
  assert.equal(await page.locator(".virtual-body .virtual-row:visible").count(), 3)

  await page.reload()
  await page.locator(".virtual-row", { hasText: "a secret" }).waitFor()
  const other = await page.context().newPage()
  await other.goto(tidegate.url)
  await other.getByRole("dialog", { name: "This gateway asks for a key" }).waitFor()
  await other.close()

  await page.getByRole("button", { name: "Key", exact: true }).click()
  await page.getByRole("button", { name: "Forget key" }).click()
  await page.getByRole("dialog", { name: "This gateway asks for a key" }).waitFor()
  assert.equal(await page.evaluate(() => sessionStorage.length), 0)
  assert.deepEqual(complaints(page), [])
})

test("a tail outlives its tickets, with no gap and no repeat", async t => {
  const tidegate = await guarded(t)
  const page = await (await browser(t)).page({ viewport: { width: 1600, height: 1000 } })
  let tickets = 0
  await page.route("**/v1/tickets", async route => {
    tickets++
    await route.continue({ postData: JSON.stringify({ ...route.request().postDataJSON(), expires_in_ms: 4000 }) })
  })
  await page.goto(tidegate.url + "/#/topics/pub-a?from=earliest")
  await give(page, ADMIN_KEY)
  await page.locator(".state[data-state=live]").waitFor()
  // Writing goes on while tickets are changed, and beyond.
  let written = 1
  await eventually("two renewals", async () => {
    await tidegate.call("POST", "/v1/topics/pub-a/records", { records: [{ value: written }] }, AUTHORIZATION)
    written++
    return tickets >= 3
  })
  await tidegate.call("POST", "/v1/topics/pub-a/records", { records: [{ value: "last" }] }, AUTHORIZATION)
  await page.locator(".virtual-row", { hasText: "last" }).waitFor()
  assert.match(await page.locator(".figures-line").textContent(), new RegExp(`^${(written + 1).toLocaleString("en")} records seen`))
  const shown = await page.locator(".virtual-body .virtual-row:visible").evaluateAll(all => all.map(row => row.lastChild.textContent))
  assert.deepEqual(shown, ["last", ...Array.from({ length: shown.length - 1 }, (_, i) => String(written - 1 - i))].slice(0, shown.length))
  assert.deepEqual(complaints(page), [])
})

test("whoever gives no key is told so, and not asked again and again", async t => {
  const tidegate = await guarded(t)
  const page = await (await browser(t)).page()
  let refused = 0
  page.on("response", answer => (refused += answer.status() === 401 ? 1 : 0))
  await page.goto(tidegate.url)
  await page.getByRole("dialog").getByRole("button", { name: "Not now" }).click()
  await page.getByText("Give one with “Key” at the top").waitFor()
  const before = refused
  await eventually("two more looks", () => refused >= before + 2)
  assert.equal(await page.getByRole("dialog").count(), 0)
  await page.getByRole("button", { name: "Key", exact: true }).click()
  await page.getByRole("button", { name: "Give a key" }).click()
  await give(page, ADMIN_KEY)
  await page.getByRole("link", { name: "sec-a" }).waitFor()
})

test("a key with few rights sees what it may, and is told in words what it may not", async t => {
  const tidegate = await guarded(t)
  const body = { name: "reader", permissions: [{ verb: "consume", topic: "pub-*", group: "app-*" }] }
  const { key } = await tidegate.call("POST", "/v1/keys", body, AUTHORIZATION)
  const page = await (await browser(t)).page({ viewport: { width: 1600, height: 1000 } })
  await page.goto(tidegate.url)
  await give(page, key)
  await page.getByRole("link", { name: "pub-a" }).waitFor()
  assert.equal(await page.getByRole("link", { name: "sec-a" }).count(), 0)
  await page.goto(tidegate.url + "/#/topics/pub-a")
  await page.locator(".virtual-row", { hasText: "for all" }).waitFor()
  await page.getByRole("button", { name: "Write record" }).click()
  await page.locator(".produce").getByText("The key you gave may not do this").waitFor()
  await page.goto(tidegate.url + "/#/topics/sec-a")
  await page.locator(".tail").getByText("The key you gave may not do this").waitFor()
  await page.goto(tidegate.url + "/#/node")
  await page.getByText("need a key with the verb metrics").waitFor()
  await page.getByRole("button", { name: "Key", exact: true }).click()
  const dialog = page.getByRole("dialog", { name: "Key" })
  await dialog.getByText("consume").waitFor()
  assert.match(await dialog.textContent(), /reader.*consume on topics pub-\*, groups app-\*/)
  assert.deepEqual(complaints(page), [])
})

import assert from "node:assert/strict"
import { test } from "node:test"

import { browser, eventually, gateway } from "./harness.mjs"

test("a page follows a topic, also across a restart, and shows each record once", async t => {
  const tidegate = await gateway(t)
  await tidegate.call("POST", "/v1/topics/clicks/records", { records: [{ value: "first" }] })
  const page = await (await browser(t)).page()
  await page.goto(tidegate.url + "/?topic=clicks")
  await page.getByText("first").waitFor()
  await tidegate.restart()
  await tidegate.call("POST", "/v1/topics/clicks/records", { records: [{ value: "second" }] })
  await page.getByText("second").waitFor()
  assert.equal(await eventually("both records", () => page.locator("li").count()), 2)
})

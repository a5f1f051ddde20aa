// Writing records and looking at them.

import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { test } from "node:test"
import { promisify } from "node:util"

import { browser, complaints, eventually, gateway } from "./harness.mjs"

const shell = async line => (await promisify(execFile)("sh", ["-c", line])).stdout

/** The rows of the tail that are on the screen, as texts of their cells. */
const rows = page => page.locator(".virtual-body .virtual-row:visible").evaluateAll(all =>
  all.map(row => [...row.children].map(cell => cell.textContent)))

/** The newest record in the tail, once it has this text. */
const arrives = (page, text) => page.locator(".virtual-body .virtual-row", { hasText: text }).first().waitFor()

test("somebody new writes a first record on the page and sees it arrive", async t => {
  const tidegate = await gateway(t)
  const page = await (await browser(t)).page()
  await page.goto(tidegate.url)
  await page.getByRole("heading", { name: "Write your first record" }).waitFor()
  for (const word of ["record", "partition", "offset"]) {
    await page.getByRole("button", { name: `What is: ${word}?` }).first().click()
    await page.locator(".tip-text:popover-open").waitFor()
    await page.keyboard.press("Escape")
  }
  await page.getByRole("button", { name: "Write record" }).click()
  await page.getByRole("heading", { name: "clicks" }).waitFor()
  await arrives(page, '"page":"/home"')
  assert.deepEqual((await rows(page)).map(row => row.slice(1, 3)), [["0", "0"]])
  // And from now on, what others write.
  await tidegate.call("POST", "/v1/topics/clicks/records", { records: [{ value: "from elsewhere" }] })
  await arrives(page, "from elsewhere")
  assert.deepEqual(complaints(page), [])
})

test("JSON, text and a file are written, with a receipt and a line for curl that does the same", async t => {
  const tidegate = await gateway(t)
  await tidegate.call("PUT", "/v1/topics/things", { partition_count: 2 })
  const page = await (await browser(t)).page({ viewport: { width: 1600, height: 1000 } })
  await page.goto(tidegate.url + "/#/topics/things")
  const form = page.locator("form.produce")
  await form.getByText("The same with curl or JavaScript").click()
  const curl = () => form.locator("figure", { hasText: "curl" }).first().locator("code").textContent()
  const write = async () => {
    await form.getByRole("button", { name: "Write record" }).click()
    await form.getByText("Written, and on disk").waitFor()
  }
  const record = (partition, offset) => tidegate.call("GET", `/v1/topics/things/partitions/${partition}/records/${offset}`)
  const raw = async (partition, offset) => (await fetch(`${tidegate.url}/v1/topics/things/partitions/${partition}/records/${offset}`)).text()

  const json = `{"it's": "quoted $HOME \`x\`", "n": 9007199254740993}`
  await form.getByLabel("Value (JSON)").fill(json)
  await form.getByLabel("Key", { exact: true }).fill("a key & more")
  await form.getByText("Partition and headers").click()
  await form.getByLabel("Partition", { exact: true }).selectOption("1")
  await form.getByRole("button", { name: "Add a header" }).click()
  await form.getByLabel("Name of header 1").fill("trace")
  await form.getByLabel("Value of header 1").fill("it's 7")
  await write()
  await arrives(page, "quoted $HOME")
  const line = await curl()
  const receipt = JSON.parse(await shell(line))
  assert.deepEqual([receipt.partition, receipt.offset, receipt.stored_as], [1, 1, "json"])
  const [mine, theirs] = [await record(1, 0), await record(1, 1)]
  for (const one of [mine, theirs]) {
    assert.deepEqual([one.key, one.headers, one.value["it's"]], ["a key & more", { trace: "it's 7" }, "quoted $HOME `x`"])
  }
  assert.match(await raw(1, 0), /9007199254740993/, "no number was read and printed again")
  assert.match(await raw(1, 1), /9007199254740993/)

  await form.getByRole("radio", { name: "Text" }).check()
  await form.getByLabel("Value (text)").fill("@not a file, {not JSON")
  await write()
  await eventually("the text", async () => (await tidegate.call("GET", "/v1/topics/things/partitions/1")).high_watermark === 3)
  assert.equal((await record(1, 2)).value, "@not a file, {not JSON")
  await shell(await curl())
  assert.equal((await record(1, 3)).value, "@not a file, {not JSON")

  await form.getByRole("radio", { name: "File" }).check()
  await form.getByLabel("File", { exact: true }).last().setInputFiles({ name: "it.bin", mimeType: "application/pdf", buffer: Buffer.from([0, 255, 10, 13]) })
  assert.match(await curl(), /--data-binary @it\.bin/)
  await write()
  await eventually("the file", async () => (await tidegate.call("GET", "/v1/topics/things/partitions/1")).high_watermark === 5)
  const file = await record(1, 4)
  assert.deepEqual([file.value_base64, file.headers["content-type"]], ["AP8KDQ==", "application/pdf"])
  assert.deepEqual(complaints(page), [])
})

test("what is no JSON is told before it is sent, and what the gateway refuses in its words", async t => {
  const tidegate = await gateway(t, { flags: ["--record-bytes-max", "1024"] })
  const page = await (await browser(t)).page({ viewport: { width: 1600, height: 1000 } })
  await page.goto(tidegate.url + "/#/topics/small")
  await page.getByLabel("Value (JSON)").fill("{no")
  await page.getByRole("button", { name: "Write record" }).click()
  await page.getByText("This is not JSON").waitFor()
  await page.getByLabel("Value (JSON)").fill(JSON.stringify("x".repeat(3000)))
  await page.getByRole("button", { name: "Write record" }).click()
  const notice = page.locator(".produce .notice.bad")
  await notice.getByRole("link", { name: "What this means" }).waitFor()
  assert.match(await notice.textContent(), /1024/)
})

test("a record is shown pretty and raw, bytes as hex and text, and markup as what it is: text", async t => {
  const tidegate = await gateway(t)
  const evil = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
  const body = `{"records":[{"key":${JSON.stringify(evil)},"headers":{"h":${JSON.stringify(evil)}},"value":{"big":1e400,"id":18446744073709551616,"html":${JSON.stringify(evil)},"list":[1,{}]}},{"value_base64":"AAFIaSEK/w=="},{"key":"gone","value":null}]}`
  await fetch(tidegate.url + "/v1/topics/odd/records", { method: "POST", headers: { "content-type": "application/json" }, body })
  const page = await (await browser(t)).page({ viewport: { width: 1600, height: 1000 } })
  await page.goto(tidegate.url + "/#/topics/odd")
  await arrives(page, "1e400")
  await page.locator(".virtual-body .virtual-row", { hasText: "1e400" }).click()
  const dialog = page.getByRole("dialog")
  const value = dialog.getByRole("region", { name: "Value" })
  assert.match(await value.textContent(), /\n {2}"big": 1e400,\n {2}"id": 18446744073709551616,\n/)
  await dialog.getByRole("radio", { name: "Raw" }).check()
  assert.match(await value.textContent(), /^\{"big":1e400,"id":18446744073709551616,"html":"<img/)
  assert.ok((await dialog.textContent()).includes(evil), "headers and keys are text, too")

  await dialog.getByRole("button", { name: "Newer" }).click()
  assert.match(await value.textContent(), /^00000000 {2}00 01 48 69 21 0a ff .*\|\.\.Hi!\.\.\|$/)
  await dialog.getByRole("radio", { name: "Text" }).check()
  assert.match(await value.textContent(), /Hi!/)
  await dialog.getByRole("button", { name: "Newer" }).click()
  await dialog.getByText("tombstone").waitFor()
  assert.ok(await dialog.getByRole("button", { name: "Newer" }).isDisabled())

  await dialog.getByText("curl / JavaScript for this record").click()
  const line = await dialog.locator("figure", { hasText: "curl: the record" }).locator("code").textContent()
  assert.equal(JSON.parse(await shell(line)).key, "gone")
  await page.keyboard.press("Escape")
  assert.ok(await page.locator(".virtual").evaluate(element => element === document.activeElement), "focus is back in the list")

  await page.goto(tidegate.url + "/#/topics/odd/0/1")
  await page.getByRole("heading", { name: "Record 1" }).waitFor()
  const saved = page.waitForEvent("download")
  await page.getByRole("button", { name: "Download the value" }).click()
  assert.equal((await saved).suggestedFilename(), "odd-0-1.bin")
  await page.getByRole("link", { name: "After" }).click()
  await page.getByRole("heading", { name: "Record 2" }).waitFor()
  await page.goBack()
  await page.getByRole("heading", { name: "Record 1" }).waitFor()
  await page.reload()
  await page.getByRole("heading", { name: "Record 1" }).waitFor()
  assert.notEqual(await page.title(), "owned")
  assert.deepEqual(complaints(page), [])
})

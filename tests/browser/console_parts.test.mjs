// Parts of the console that need no browser.

import assert from "node:assert/strict"
import { test } from "node:test"

import { hexDump } from "../../src/http/ops/console/bytes.js"
import { members, pretty } from "../../src/http/ops/console/json_text.js"
import { parse, quantile } from "../../src/http/ops/console/metrics.js"
import { quote } from "../../src/http/ops/console/snippets.js"
import { Buffer, Item, RECORDS_MAX } from "../../src/http/ops/console/tail_buffer.js"

const text = parts => parts.map(part => part.text).join("")

test("JSON is laid out with its tokens as they were sent", () => {
  const sent = String.raw`{"id":9223372036854775807,"big":1e400,"a":[],"b":{},"a":[1.10,"x\"},[\\",null],"é":"é"}`
  const shown = text(pretty(sent))
  assert.equal(shown.split("\n").length, 12)
  for (const token of ["9223372036854775807", "1e400", "1.10", String.raw`"x\"},[\\"`, String.raw`"é"`]) {
    assert.ok(shown.includes(token), `${token} in ${shown}`)
  }
  assert.equal(shown.replace(/\n\s*/g, "").replaceAll(": ", ":"), sent)
})

test("a member's text is found, whatever stands around it", () => {
  const line = String.raw`{"topic":"t","key":"a,\"value\":1}","headers":{"value":"no"},"value":{"x":[1,{"value":18446744073709551616}]}}`
  assert.equal(members(line).get("value"), '{"x":[1,{"value":18446744073709551616}]}')
  assert.deepEqual([...members(line).keys()], ["topic", "key", "headers", "value"])
  assert.equal(members('{"value":1,"value":2}').get("value"), "2")
})

test("a string of a megabyte is no trouble", () => {
  const long = JSON.stringify({ value: "\\\"x".repeat(350_000) })
  assert.equal(members(long).get("value").length, long.length - '{"value":}'.length)
})

test("bytes are dumped as hexdump prints them", () => {
  const bytes = Uint8Array.from([...Array(17).keys(), 0x41, 0x7f])
  assert.equal(hexDump(bytes), [
    "00000000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  |................|",
    "00000010  10 41 7f                                          |.A.|",
  ].join("\n"))
})

test("words are quoted for a shell", () => {
  assert.equal(quote("plain-word_1.json"), "plain-word_1.json")
  assert.equal(quote("it's $HOME `x`"), `'it'\\''s $HOME \`x\`'`)
  assert.equal(quote(""), "''")
})

test("figures are read from a page of metrics, and quantiles from what was added between two", () => {
  const page = more => parse([
    `tidegate_build_info{version="9.9.9"} 1`,
    `tidegate_read_records_total{source="tail"} ${more}`, `tidegate_read_records_total{source="table"} 2`,
    `tidegate_produce_duration_seconds_bucket{le="0.001"} ${100 + more}`,
    `tidegate_produce_duration_seconds_bucket{le="0.002"} ${100 + 2 * more}`,
    `tidegate_produce_duration_seconds_bucket{le="+Inf"} ${100 + 2 * more}`,
  ].join("\n"))
  const [before, after] = [page(0), page(50)]
  assert.equal(after.version, "9.9.9")
  assert.equal(after.sums.get("tidegate_read_records_total"), 52)
  const share = part => quantile(before.histograms.get("tidegate_produce_duration_seconds"), after.histograms.get("tidegate_produce_duration_seconds"), part)
  assert.equal(share(0.5), 0.001)
  assert.ok(Math.abs(share(0.75) - 0.0015) < 1e-9)
  assert.equal(quantile(before.histograms.get("tidegate_produce_duration_seconds"), before.histograms.get("tidegate_produce_duration_seconds"), 0.5), null)
})

test("a tail keeps a bounded number of records, and shows those with a text", () => {
  const buffer = new Buffer()
  const item = offset => new Item(JSON.stringify({ partition: 0, offset, value: { say: `"Nr ${offset % 10}"` } }), "c")
  const all = Array.from({ length: RECORDS_MAX + 10 }, (_, i) => item(i))
  assert.equal(buffer.add(all), all.length)
  assert.deepEqual([buffer.kept, buffer.length, buffer.at(0).record.offset], [RECORDS_MAX, RECORDS_MAX, RECORDS_MAX + 9])
  assert.equal(buffer.indexOf(all[0]), -1)
  buffer.filter('"NR 7"')
  assert.equal(buffer.length, RECORDS_MAX / 10)
  assert.equal(buffer.at(0).record.offset % 10, 7)
  assert.equal(buffer.add([item(1), item(7)]), 1)
})

// One record: where it stands, its key and headers, and its value as it is best read and as it was sent.

import { path, send } from "../api.js"
import { asText, DUMP_BYTES_MAX, fromBase64, hexDump } from "../bytes.js"
import { h, replace } from "../dom.js"
import { bytes, dateTime, number } from "../format.js"
import { members, pretty } from "../json_text.js"
import { link, topicLink } from "../router.js"
import { curl, javascript, snippets } from "../snippets.js"
import { announce, choice, copyButton, explained, lede, notice, table } from "../ui.js"

/** Characters of a value that are coloured and laid out; what is longer is shown as it came, and cut. */
const SHOWN_MAX = 200_000

/** The address of a record. */
const recordPath = ({ topic, partition, offset }) =>
  path("/v1/topics", topic, "partitions", partition, "records", offset)

export const recordLink = ({ topic, partition, offset }) => topicLink(topic, `/${partition}/${offset}`)

/** What a list shows of a value: its text, without what is around it. */
export function preview(line, record) {
  if (record.value === null) return "null (tombstone)"
  if (typeof record.value === "string") return record.value
  if (record.value_base64 !== undefined) return `${bytes(fromBase64(record.value_base64).length)} of bytes`
  return members(line).get("value") ?? ""
}

/** A key as it can be shown. */
export const keyText = record => record.key ?? (record.key_base64 === undefined ? "" : `base64 ${record.key_base64}`)

/** All of a record, from the line as it came. `heading` is the level of its headings. */
export function recordView(line, heading = "h3") {
  const record = JSON.parse(line)
  const made = snippets("curl / JavaScript for this record")
  const url = recordPath(record)
  made.set(() => [["curl: the record", curl({ url })], ["curl: its value alone", curl({ url: url + "/value" })], ["JavaScript", javascript({ url })]])
  return h("div", { class: "record" }, place(record, line), headers(record, heading), value(line, record, heading), made.element)
}

function place(record, line) {
  const row = (name, ...content) => h("div", {}, h("dt", {}, name), h("dd", {}, content))
  const isKeyed = record.key !== undefined || record.key_base64 !== undefined
  return h("dl", { class: "facts" },
    row("Topic", h("a", { href: topicLink(record.topic) }, record.topic)),
    row(explained("Partition", "partition"), String(record.partition)),
    row(explained("Offset", "offset"), h("a", { href: recordLink(record) }, number(record.offset))),
    row("Written", h("time", { datetime: new Date(record.timestamp).toISOString() }, dateTime(record.timestamp)), h("span", { class: "muted" }, ` ${record.timestamp}`)),
    row(explained("Key", "key"), isKeyed ? h("code", {}, keyText(record) === "" ? '"" (empty)' : keyText(record)) : h("span", { class: "muted" }, "none")),
    row("Size", bytes(new Blob([line]).size), h("span", { class: "muted" }, " as JSON")))
}

function headers(record, level) {
  const list = record.header_list ?? Object.entries(record.headers ?? {}).map(([name, text]) => ({ name, value: text }))
  const heading = h(level, {}, explained("Headers", "header"))
  if (!list.length) return [heading, h("p", { class: "muted" }, "None.")]
  const shown = table("Headers", [{ label: "Name" }, { label: "Value" }])
  shown.show(list.map(({ name, value: text, value_base64: base64 }) =>
    shown.row(h("code", {}, name), h("code", {}, text ?? `base64 ${base64}`))))
  return [heading, shown.element]
}

function value(line, record, level) {
  const raw = members(line).get("value") ?? ""
  const holder = h("div", { class: "value-holder" })
  let copied = ""
  const show = (kind, text, content) => {
    copied = text
    replace(holder, h("pre", { class: `value ${kind}`, tabindex: "0", role: "region", "aria-label": "Value" }, content ?? cut(text)))
  }
  const ways = waysToSee(record, raw, show)
  ways[0].see()
  return [
    h("div", { class: "value-head" }, h(level, {}, "Value ", h("span", { class: "muted kind" }, ways[0].kind)),
      h("div", { class: "actions" }, copyButton(() => copied, "Copy", "the value"), downloadButton(record))),
    ways.length > 1 && choice("How to show the value", ways.map((way, i) => [String(i), way.name]), "0", i => ways[Number(i)].see()),
    holder,
  ]
}

/** Ways to look at a value, the best one first. */
function waysToSee(record, raw, show) {
  if (record.value_base64 !== undefined) {
    const all = fromBase64(record.value_base64)
    const kind = `${bytes(all.length)} of bytes`
    const more = all.length > DUMP_BYTES_MAX ? `\n… ${bytes(all.length - DUMP_BYTES_MAX)} more: download them` : ""
    return [
      { kind, name: "Hex", see: () => show("dump", hexDump(all) + more) },
      { kind, name: "Text", see: () => show("text", asText(all) + more) },
      { kind, name: "Base64", see: () => show("text", record.value_base64) },
    ]
  }
  if (record.value === null) return [{ kind: "tombstone: no value, the key is to be forgotten", name: "Raw", see: () => show("text", "null") }]
  const verbatim = { name: "Raw", see: () => show("text", raw) }
  if (typeof record.value === "string") {
    return [{ kind: "text", name: "Text", see: () => show("text", record.value) }, { ...verbatim, name: "JSON" }]
  }
  if (raw.length > SHOWN_MAX) return [{ ...verbatim, kind: "JSON" }]
  const parts = pretty(raw)
  const text = parts.map(part => part.text).join("")
  const coloured = () => parts.map(part => (part.kind === "mark" ? part.text : h("span", { class: `json-${part.kind}` }, part.text)))
  return [{ kind: "JSON", name: "Pretty", see: () => show("json", text, coloured()) }, verbatim]
}

const cut = text => (text.length > SHOWN_MAX ? text.slice(0, SHOWN_MAX) + "\n… the rest is not shown: copy or download it" : text)

/** A link would not carry the key; so the value is fetched, and given to the browser to keep. */
function downloadButton(record) {
  const name = `${record.topic}-${record.partition}-${record.offset}`
  const button = h("button", { type: "button", class: "quiet", "aria-label": "Download the value" }, "Download")
  button.addEventListener("click", async () => {
    try {
      const answer = await send("GET", recordPath(record) + "/value")
      const url = URL.createObjectURL(await answer.blob())
      h("a", { href: url, download: record.value_base64 === undefined ? `${name}.json` : `${name}.bin` }).click()
      URL.revokeObjectURL(url)
    } catch (error) {
      announce(error.message)
    }
  })
  return button
}

/** The page of one record, by its address. */
export async function recordPage(main, { topic, partition, offset }, signal) {
  const body = h("div", { class: "panel" }, h("p", { class: "muted" }, "Loading …"))
  const at = Number(offset)
  const step = (to, label) => (to < 0 ? null : h("a", { class: "button", href: recordLink({ topic, partition, offset: to }) }, label))
  replace(main,
    h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: link("/topics") }, "Topics"), h("a", { href: topicLink(topic) }, topic), h("span", { "aria-current": "page" }, `${partition} / ${offset}`)),
    h("div", { class: "title" }, h("h1", { tabindex: "-1" }, `Record ${number(at)}`, h("span", { class: "muted" }, ` of partition ${partition}`)),
      h("div", { class: "actions" }, step(at - 1, "← Before"), step(at + 1, "After →"))),
    lede("This address is for good: an ", h("strong", {}, "offset"), " is given once, so it always leads to this record, as long as the topic keeps it."),
    body)
  try {
    const answer = await send("GET", recordPath({ topic, partition, offset }), { signal })
    replace(body, recordView(await answer.text(), "h2"))
  } catch (error) {
    if (!signal.aborted) replace(body, error.code === "unknown_offset" ? notYet(topic, partition) : notice(error))
  }
}

const notYet = (topic, partition) =>
  h("p", {}, "There is no record at this offset yet. ", h("a", { href: topicLink(topic, "", { from: "latest", partition }) }, "Wait for it in the live tail"), ".")

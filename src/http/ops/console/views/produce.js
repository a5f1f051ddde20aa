// Writes one record: JSON, text or a file; shows the receipt, and the line for curl that does the same.

import { path, query, send, Unreachable } from "../api.js"
import { h, replace } from "../dom.js"
import { number, time } from "../format.js"
import { curl, javascript, snippets } from "../snippets.js"
import { announce, choice, explained, field, notice } from "../ui.js"
import { recordLink } from "./record.js"

const EXAMPLE = '{"page": "/home", "user": "ann"}'

/** What the gateway takes as a name. */
export const NAME_PATTERN = "[A-Za-z0-9._\\-]{1,249}"

/**
 * The form. Without `topic` it asks for one. `partitions()` tells how many there are, as far as that is known;
 * `written(receipt)` is called after each record.
 */
export function produceForm({ topic, partitions = () => 0, written = () => {} }) {
  const name = topic ? null : h("input", { required: true, pattern: NAME_PATTERN, value: "clicks", spellcheck: "false", autocapitalize: "off" })
  const key = h("input", { maxlength: 4096, placeholder: "none", autocomplete: "off", spellcheck: "false" })
  const text = h("textarea", { rows: 4, spellcheck: "false" })
  text.value = EXAMPLE
  const file = h("input", { type: "file" })
  const partition = h("select", {})
  const headers = headerRows(() => refresh())
  const value = h("div", {})
  const receipt = h("div", { role: "status", class: "receipt-holder" })
  const button = h("button", { class: "primary" }, "Write record")
  const same = snippets("The same with curl or JavaScript")
  let kind = "json"
  /** The same for every attempt with the same content, so that a second one writes nothing twice. */
  let attempt = null

  const setKind = chosen => {
    kind = chosen
    const hint = { json: "Kept token by token, as you write it here.", text: "Kept as text, in UTF-8.", file: "JSON and text are kept as such; anything else byte for byte, with its type as the header content-type." }[kind]
    replace(value, kind === "file" ? field("File", file, { hint }) : field(kind === "json" ? "Value (JSON)" : "Value (text)", text, { hint }))
    refresh()
  }

  const target = () => topic ?? name.value

  /** The call that the form stands for. */
  const call = () => ({
    method: "POST",
    // The field left empty means no key.
    url: path("/v1/topics", target(), "values") + query({ key: key.value, partition: partition.value }),
    headers: { "content-type": contentType(kind, file.files[0]), ...headers.value() },
    ...(kind === "file" ? { file: file.files[0]?.name ?? "FILE" } : { body: text.value }),
  })

  function refresh() {
    attempt = null
    const now = call()
    same.set(() => [["curl", curl(now)], ["JavaScript", javascript(now)]])
  }

  function offerPartitions() {
    const wanted = partitions()
    if (partition.options.length === wanted + 1) return
    const chosen = partition.value
    replace(partition, h("option", { value: "" }, "by key, or in turn"),
      Array.from({ length: wanted }, (_, i) => h("option", { value: String(i) }, String(i))))
    partition.value = chosen
  }

  async function submit(event) {
    event.preventDefault()
    const wrong = kind === "json" ? jsonMistake(text.value) : kind === "file" && !file.files[0] ? "Choose a file first." : null
    if (wrong) return replace(receipt, h("p", { class: "notice bad" }, wrong))
    const { method, url, headers: fields } = call()
    attempt ??= randomKey()
    button.disabled = true
    try {
      const body = kind === "file" ? file.files[0] : text.value
      const answer = await send(method, url, { headers: { ...fields, "idempotency-key": attempt }, body })
      const got = await answer.json()
      attempt = null
      replace(receipt, receiptView(got))
      announce(`Written: partition ${got.partition}, offset ${got.offset}`)
      written(got)
    } catch (error) {
      const unknown = error instanceof Unreachable || error.code === "outcome_unknown"
      replace(receipt, notice(error), unknown && h("p", { class: "hint" }, "Whether it was written is not known. Write it again: it carries the same Idempotency-Key, so it is never written twice."))
    } finally {
      button.disabled = false
    }
  }

  const form = h("form", { class: "produce", onsubmit: submit, oninput: refresh, onfocusin: offerPartitions },
    name && field("Topic", name, { word: "topic", hint: "Letters, digits, dot, dash, underscore. It comes into being with its first record." }),
    choice("What to write", [["json", "JSON"], ["text", "Text"], ["file", "File"]], kind, setKind),
    value,
    field("Key", key, { word: "key" }),
    h("details", { class: "more" }, h("summary", {}, "Partition and headers"),
      field("Partition", partition, { word: "partition" }), headers.element),
    h("div", { class: "actions" }, button),
    receipt, same.element)
  // Who writes their first record is to see how a program does it.
  same.element.open = topic === undefined
  offerPartitions()
  setKind(kind)
  return form
}

function contentType(kind, file) {
  if (kind === "json") return "application/json"
  if (kind === "text") return "text/plain; charset=utf-8"
  return file?.type || "application/octet-stream"
}

/** What is wrong with a text as JSON, or `null`. */
function jsonMistake(text) {
  try {
    JSON.parse(text)
    return null
  } catch (error) {
    return `This is not JSON: ${error.message}. Choose “Text” to write it as it is.`
  }
}

/** 128 bits; `crypto.randomUUID` is only there where the page came over TLS or from this machine. */
const randomKey = () => "console-" + [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, "0")).join("")

const receiptView = receipt =>
  h("div", { class: "notice good receipt" },
    h("p", {}, h("strong", {}, "Written, and on disk. "),
      explained(["Partition ", h("b", {}, String(receipt.partition))], "partition"), " ",
      explained(["offset ", h("b", {}, number(receipt.offset))], "offset")),
    h("p", { class: "muted" }, `at ${time(receipt.timestamp)}, kept as ${receipt.stored_as} · `, h("a", { href: recordLink(receipt) }, "Open the record")))

/** Names and texts that become headers of the record. */
function headerRows(changed) {
  const list = h("div", { class: "header-rows" })
  const add = () => {
    const number = list.children.length + 1
    const row = h("div", { class: "header-row" },
      h("input", { "aria-label": `Name of header ${number}`, placeholder: "name", pattern: "[A-Za-z0-9._\\-]+", maxlength: 200 }),
      h("input", { "aria-label": `Value of header ${number}`, placeholder: "value", pattern: "[ -~]*", title: "Printable ASCII" }),
      h("button", { type: "button", class: "quiet icon", "aria-label": `Remove header ${number}`, onclick: () => { row.remove(); changed() } }, "✕"))
    list.append(row)
    row.firstChild.focus()
  }
  const value = () => {
    const pairs = [...list.children].map(row => [row.children[0].value, row.children[1].value])
    const good = ([name, text]) => /^[A-Za-z0-9._-]+$/.test(name) && /^[ -~]*$/.test(text)
    return Object.fromEntries(pairs.filter(good).map(([name, text]) => [`record-header-${name.toLowerCase()}`, text]))
  }
  const element = h("fieldset", { class: "headers" }, h("legend", {}, explained("Headers", "header")), list,
    h("button", { type: "button", class: "quiet", onclick: add }, "Add a header"))
  return { element, value }
}

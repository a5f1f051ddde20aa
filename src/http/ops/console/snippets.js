// The same as what is seen, for a shell and for a program. A key is never in it: the shell takes it from TIDEGATE_KEY, the
// program from a variable.

import { h, replace, uniqueId } from "./dom.js"
import { key } from "./session.js"
import { copyButton } from "./ui.js"

/** A word for a POSIX shell. */
export const quote = text => (/^[A-Za-z0-9_\/:.,@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)

/** A call as a line for `sh`: `{ method, url, headers, body, file, stream }`. */
export function curl({ method = "GET", url, headers = {}, body, file, stream = false }) {
  const words = ["curl"]
  if (stream) words.push("-N")
  // With a body curl sends a POST by itself.
  const implied = body !== undefined || file !== undefined ? "POST" : "GET"
  if (method !== implied) words.push("-X", method)
  if (key()) words.push("-H", '"Authorization: Bearer $TIDEGATE_KEY"')
  for (const [name, value] of Object.entries(headers)) words.push("-H", quote(`${name}: ${value}`))
  if (file !== undefined) words.push("--data-binary", quote(`@${file}`))
  if (body !== undefined) words.push("--data-raw", quote(body))
  words.push(quote(location.origin + url))
  return words.join(" ")
}

/** A call as JavaScript, for a page or for Node. */
export function javascript({ method = "GET", url, headers = {}, body, file, after = "console.log(await answer.json())" }) {
  const all = { ...headers }
  const lines = Object.entries(all).map(([name, value]) => `    ${JSON.stringify(name)}: ${JSON.stringify(value)},`)
  if (key()) lines.unshift("    authorization: `Bearer ${key}`,")
  const options = []
  if (method !== "GET") options.push(`  method: "${method}",`)
  if (lines.length) options.push("  headers: {", ...lines, "  },")
  if (file !== undefined) options.push(`  body: file, // ${file}: a File or a Blob`)
  if (body !== undefined) options.push(`  body: ${JSON.stringify(body)},`)
  const call = JSON.stringify(location.origin + url)
  const head = options.length ? `const answer = await fetch(${call}, {\n${options.join("\n")}\n})` : `const answer = await fetch(${call})`
  return `${head}\n${after}`
}

/** An event stream as JavaScript. `topic` is what a ticket is asked for where a key is needed. */
export function eventSource(url, topic) {
  const show = "events.onmessage = event => console.log(JSON.parse(event.data))"
  if (!key()) return `const events = new EventSource(${JSON.stringify(location.origin + url)})\n${show}`
  return [
    "// EventSource sends no headers, so it shows a ticket: good for ten minutes, for this topic",
    `const asked = await fetch(${JSON.stringify(location.origin + "/v1/tickets")}, {`,
    '  method: "POST",',
    '  headers: { "content-type": "application/json", authorization: `Bearer ${key}` },',
    `  body: ${JSON.stringify(JSON.stringify({ topic }))},`,
    "})",
    "const { ticket } = await asked.json()",
    `const events = new EventSource(${JSON.stringify(location.origin + url)} + "&ticket=" + ticket)`,
    show,
  ].join("\n")
}

/**
 * What can be opened to see, and copy, the call behind a view. `set` takes what gives pairs of a name and a text; it is asked when
 * somebody looks.
 */
export function snippets(summary = "Do this with curl or JavaScript") {
  const body = h("div", { class: "snippet-list" })
  const element = h("details", { class: "snippets", ontoggle: show }, h("summary", {}, summary), body)
  let make = () => []
  let shown = ""
  function show() {
    if (!element.open) return
    // Not touched while nothing changes: somebody may be selecting text.
    const pairs = make()
    const wanted = JSON.stringify(pairs)
    if (wanted === shown) return
    shown = wanted
    replace(body, pairs.map(([name, text]) => code(name, text)))
  }
  return {
    element,
    set(pairs) {
      make = pairs
      show()
    },
  }
}

/** A text to copy, with its name. */
export function code(name, text) {
  const id = uniqueId("code")
  return h("figure", { class: "code" },
    h("figcaption", {}, h("span", { id }, name), copyButton(() => text, "Copy", name)),
    h("pre", { tabindex: "0", role: "group", "aria-labelledby": id }, h("code", {}, text)))
}

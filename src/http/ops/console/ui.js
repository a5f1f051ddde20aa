// The small parts that views are made of.

import { h, replace, setText, svg, uniqueId } from "./dom.js"
import { GLOSSARY } from "./glossary.js"

/** Says something to those who listen to the page. */
export function announce(text) {
  const region = document.getElementById("announcements")
  // The same words twice are only said twice if they were gone between.
  region.textContent = ""
  requestAnimationFrame(() => (region.textContent = text))
}

/** A small button that explains a word of the glossary where it stands. */
export function tip(word) {
  const id = uniqueId("tip")
  const button = h("button", { class: "tip", type: "button", "aria-label": `What is: ${word}?`, "aria-expanded": "false", popovertarget: id }, "?")
  const text = h("div", { id, class: "tip-text", popover: true, role: "note" }, GLOSSARY[word])
  text.addEventListener("beforetoggle", event => {
    button.setAttribute("aria-expanded", String(event.newState === "open"))
    if (event.newState === "open") place(text, button)
  })
  return h("span", { class: "tip-holder" }, button, text)
}

/** Below the button, and within the window. */
function place(text, button) {
  const box = button.getBoundingClientRect()
  const width = Math.min(320, innerWidth - 24)
  text.style.width = `${width}px`
  text.style.left = `${Math.max(12, Math.min(box.left - 16, innerWidth - width - 12))}px`
  const below = box.bottom + 8
  text.style.top = below + 150 > innerHeight ? "auto" : `${below}px`
  text.style.bottom = below + 150 > innerHeight ? `${innerHeight - box.top + 8}px` : "auto"
}

/** Words and the button that explains one of them. */
export const explained = (words, word) => h("span", { class: "explained" }, h("span", {}, words), tip(word))

/** The sentence under a heading that says what a thing is. */
export const lede = (...children) => h("p", { class: "lede" }, children)

/** A figure with its name. `set(value, detail)` changes it. */
export function tile(label, word) {
  const value = h("dd", { class: "tile-value" }, "–")
  const detail = h("dd", { class: "tile-detail" })
  const element = h("div", { class: "tile" }, h("dt", {}, word ? explained(label, word) : label), value, detail)
  return {
    element,
    set(text, more = "") {
      setText(value, text)
      setText(detail, more)
    },
    detail,
  }
}

export const tiles = (...all) => h("dl", { class: "tiles" }, all.map(one => one.element))

/** A button that copies what `text()` gives. */
export function copyButton(text, label = "Copy", what = "") {
  const button = h("button", { type: "button", class: "quiet copy", "aria-label": what ? `${label} ${what}` : label }, label)
  button.addEventListener("click", async () => {
    const done = await copy(text())
    setText(button, done ? "Copied" : "Not copied")
    announce(done ? `Copied ${what}` : "Your browser does not let this page copy; select the text instead.")
    setTimeout(() => setText(button, label), 2000)
  })
  return button
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copyOldWay(text)
  }
}

/** Where the page came over plain HTTP from another machine there is no `navigator.clipboard`. */
function copyOldWay(text) {
  const field = h("textarea", { class: "visually-hidden", "aria-hidden": "true", tabindex: "-1" })
  field.value = text
  const parent = document.querySelector("dialog[open]") ?? document.body
  parent.append(field)
  field.select()
  const done = document.execCommand("copy")
  field.remove()
  return done
}

/** What went wrong, in the gateway's words. */
export function notice(error, again) {
  const help = HELP[error.code]
  return h("div", { class: "notice bad", role: "alert" },
    h("p", {}, h("strong", {}, error.title ?? "Something failed"), " ", error.message),
    help && h("p", { class: "muted" }, help),
    h("p", { class: "actions" },
      again && h("button", { type: "button", onclick: again }, "Try again"),
      error.status && error.code && h("a", { href: `/problems/${error.code}` }, "What this means")))
}

/** Shows in `holder` what went wrong. The same again is left as it stands, so that it is not read out every few seconds. */
export function complain(holder, error) {
  const says = `${error.code} ${error.message}`
  const before = holder.querySelector(":scope > .notice")
  if (before?.dataset.says === says) return
  const now = notice(error)
  now.dataset.says = says
  replace(holder, now)
}

const HELP = {
  forbidden: "The key you gave may not do this. Ask whoever looks after the gateway for a key with more rights, or use another one (“Key” at the top).",
  unauthorized: "This gateway asks for a key. Give one with “Key” at the top.",
  database_unavailable: "The gateway lives, its database does not answer. It goes on by itself when it is back.",
}

/** What a list says that has nothing to show. */
export const empty = (heading, ...children) => h("div", { class: "empty" }, emptyMark(), h("h2", {}, heading), children)

/** The end of a log, as a small picture. */
export const emptyMark = () =>
  svg("svg", { viewBox: "0 0 64 40", class: "empty-mark", "aria-hidden": "true" },
    [0, 1, 2, 3].map(i => svg("rect", { x: 2 + i * 15, y: 10, width: 12, height: 20, rx: 3, class: i === 3 ? "next" : "" })))

/** A field with its label. */
export function field(label, control, { hint, word } = {}) {
  control.id ||= uniqueId("field")
  const hintId = hint && uniqueId("hint")
  if (hint) control.setAttribute("aria-describedby", hintId)
  return h("div", { class: "field" },
    h("div", { class: "label" }, h("label", { for: control.id }, label), word && tip(word)),
    control,
    hint && h("p", { class: "hint", id: hintId }, hint))
}

/** A choice of a few, as a row of buttons. `options` are `[value, label]`. */
export function choice(legend, options, chosen, onchange) {
  const name = uniqueId("choice")
  return h("fieldset", { class: "choice" },
    h("legend", {}, legend),
    h("div", { class: "segments" }, options.map(([value, label]) => {
      const id = uniqueId("segment")
      return h("span", { class: "segment" },
        h("input", { type: "radio", name, id, value, checked: value === chosen, onchange: () => onchange(value) }),
        h("label", { for: id }, label))
    })))
}

/** A dialog over the page, which is gone when it is closed. `build(close)` gives what is in it. */
export function dialog(title, build, { drawer = false, onclose } = {}) {
  const id = uniqueId("dialog")
  const element = h("dialog", { class: drawer ? "drawer" : "", "aria-labelledby": id })
  const close = () => element.close()
  const heading = h("h2", { id, tabindex: drawer ? "-1" : null, autofocus: drawer }, title)
  const body = h("div", { class: "dialog-body" })
  element.append(
    h("header", { class: "dialog-head" }, heading,
      h("button", { type: "button", class: "quiet icon", "aria-label": "Close", onclick: close }, "✕")),
    body)
  element.addEventListener("close", () => {
    element.remove()
    onclose?.()
  })
  // A click on what is around it closes it.
  element.addEventListener("click", event => event.target === element && close())
  replace(body, build(close))
  document.body.append(element)
  element.showModal()
  return { element, body, heading, close }
}

/** A table that turns into cards where it is narrow: cells say which column they are of. */
export function table(caption, columns) {
  const body = h("tbody", {})
  const head = columns.map(({ label, word, kind }) => h("th", { scope: "col", class: kind }, word ? explained(label, word) : label))
  const element = h("table", { class: "cards" }, h("caption", { class: "visually-hidden" }, caption), h("thead", {}, h("tr", {}, head)), body)
  /** Cells in the order of the columns; the first is the head of the row. */
  const row = (...cells) =>
    h("tr", {}, cells.map((cell, i) => {
      const attributes = { class: columns[i].kind, "data-label": columns[i].label }
      return i === 0 ? h("th", { scope: "row", ...attributes }, cell) : h("td", attributes, cell)
    }))
  /** Shows these rows. A cell that says the same stays the element that it is, and with it the focus that may be in it. */
  const show = rows => {
    rows.forEach((row, i) => {
      const old = body.rows[i]
      if (!old) return body.append(row)
      for (const [at, cell] of [...row.cells].entries()) {
        if (!old.cells[at].isEqualNode(cell)) old.cells[at].replaceWith(cell)
      }
    })
    while (body.rows.length > rows.length) body.lastChild.remove()
  }
  return { element, body, row, show }
}

/** A line of the last values, for beside a figure. */
export function sparkline(values, width = 72, height = 20) {
  const top = Math.max(...values, 1e-9)
  const step = width / Math.max(values.length - 1, 1)
  const points = values.map((value, i) => `${(i * step).toFixed(1)},${(height - 2 - (value / top) * (height - 4)).toFixed(1)}`)
  return svg("svg", { class: "sparkline", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
    values.length > 1 && svg("polyline", { points: points.join(" ") }))
}

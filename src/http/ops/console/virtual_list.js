// A list of any length of which only the rows in sight are elements. As a grid: its rows are one stop of the Tab key, arrows move, Enter
// opens. The newest item is on top; when one comes in while somebody has scrolled down, what they read stays where it is.

import { h, uniqueId } from "./dom.js"

/** Rows beyond either edge of what is seen. */
const OVERSCAN = 6

/**
 * `columns` are heads of columns, words or elements. `row(element, item)` fills the cells of a row's element, which is used again for other items;
 * `open(item)` is called for a click or Enter.
 */
export function virtualList({ label, columns, row, open, rowHeight }) {
  const base = uniqueId("row")
  const body = h("div", { role: "rowgroup", class: "virtual-body" })
  const head = h("div", { role: "rowgroup", class: "virtual-head" },
    h("div", { role: "row", class: "virtual-row" }, columns.map(column => h("span", { role: "columnheader" }, column))))
  const element = h("div", { role: "grid", class: "virtual", tabindex: "0", "aria-label": label, "aria-rowcount": "1" }, head, body)

  const pool = []
  let items = { length: 0, at: () => null }
  let active = null
  let height = rowHeight()
  let scheduled = false

  const make = slot => {
    const cells = columns.map(() => h("span", { role: "gridcell" }))
    const made = h("div", { role: "row", class: "virtual-row", id: `${base}-${slot}` }, cells)
    made.cells = cells
    body.append(made)
    return made
  }

  function draw() {
    scheduled = false
    const sight = element.clientHeight
    const first = Math.max(0, Math.floor(element.scrollTop / height) - OVERSCAN)
    const wanted = Math.min(items.length - first, Math.ceil(sight / height) + 2 * OVERSCAN)
    body.style.height = `${items.length * height}px`
    element.setAttribute("aria-rowcount", String(items.length + 1))
    while (pool.length < wanted) pool.push(make(pool.length))
    let activeRow = null
    pool.forEach((made, slot) => {
      made.hidden = slot >= wanted
      if (made.hidden) return
      const index = first + slot
      const item = items.at(index)
      made.style.transform = `translateY(${index * height}px)`
      if (made.item !== item) {
        made.item = item
        row(made, item)
      }
      made.setAttribute("aria-rowindex", String(index + 2))
      const isActive = item === active
      made.classList.toggle("active", isActive)
      if (isActive) activeRow = made
    })
    if (activeRow) element.setAttribute("aria-activedescendant", activeRow.id)
    else element.removeAttribute("aria-activedescendant")
  }

  const schedule = () => {
    if (scheduled) return
    scheduled = true
    requestAnimationFrame(draw)
  }

  function moveTo(index) {
    if (items.length === 0) return
    index = Math.max(0, Math.min(items.length - 1, index))
    active = items.at(index)
    const top = index * height
    const inSight = element.clientHeight - head.offsetHeight
    if (top < element.scrollTop) element.scrollTop = top
    else if (top + height > element.scrollTop + inSight) element.scrollTop = top + height - inSight
    draw()
  }

  element.addEventListener("scroll", schedule, { passive: true })
  element.addEventListener("focus", () => active ?? moveTo(Math.ceil(element.scrollTop / height)))
  element.addEventListener("click", event => {
    const item = event.target.closest(".virtual-body .virtual-row")?.item
    if (!item) return
    active = item
    draw()
    open(item)
  })
  element.addEventListener("keydown", event => {
    if (event.target !== element) return // a button in the head
    const page = Math.max(1, Math.floor(element.clientHeight / height) - 1)
    const now = active ? items.indexOf(active) : 0
    const to = { ArrowDown: now + 1, ArrowUp: now - 1, PageDown: now + page, PageUp: now - page, Home: 0, End: items.length - 1 }[event.key]
    if (to !== undefined) moveTo(to)
    else if (event.key === "Enter" && active) open(active)
    else return
    event.preventDefault()
  })
  new ResizeObserver(() => {
    height = rowHeight()
    schedule()
  }).observe(element)

  return {
    element,
    /** Shows `now`, which has `length`, `at(i)` and `indexOf(item)`; `added` of them came in on top since last time. */
    show(now, added = 0) {
      items = now
      if (active && items.indexOf(active) < 0) active = null
      if (added && element.scrollTop > height / 2) {
        body.style.height = `${items.length * height}px`
        element.scrollTop += added * height
      }
      schedule()
    },
    /** Shows rows anew whose items are the same. */
    refresh() {
      pool.forEach(made => (made.item = null))
      schedule()
    },
    isAtTop: () => element.scrollTop <= height / 2,
    toTop: () => (element.scrollTop = 0),
    /** The item after (1) or before (-1) another. */
    neighbour(item, step) {
      const at = items.indexOf(item)
      return at < 0 ? null : items.at(at + step) ?? null
    },
    select(item) {
      const at = items.indexOf(item)
      if (at >= 0) moveTo(at)
    },
  }
}

// The partitions of a topic: where each begins and ends, and the offsets at its end as they stand in the log.

import { path } from "../api.js"
import { h, replace, svg } from "../dom.js"
import { bytes, number } from "../format.js"
import { totals } from "../rates.js"
import { topicLink } from "../router.js"
import { curl, javascript, snippets } from "../snippets.js"
import { lede, table } from "../ui.js"

const COLUMNS = [
  { label: "Partition", word: "partition" }, { label: "First offset", word: "offset", kind: "figure" }, { label: "Next offset", word: "end", kind: "figure" },
  { label: "Records", word: "record", kind: "figure" }, { label: "Share", kind: "share" }, { label: "Size", kind: "figure" }, { label: "Read" },
]

/** Partitions on a page of the table. */
const PAGE = 100

/** `update(detail)` shows the figures as they are now. */
export function partitionsView({ topic }) {
  const shown = table("Partitions", COLUMNS)
  const drawing = h("div", { class: "log-drawing" })
  const code = snippets()
  const url = path("/v1/topics", topic)
  code.set(() => [["curl", curl({ url })], ["JavaScript", javascript({ url })], ["curl: one partition from an offset", curl({ url: `${url}/partitions/0/records?offset=0` })]])
  const element = h("div", {},
    lede("The topic is split into ", h("strong", {}, "partitions"), ". Each is a log of its own: records stand in it in order, each with a number, its ",
      h("strong", {}, "offset"), ". Records with equal keys go to the same partition."),
    drawing, h("div", { class: "panel flush" }, shown.element), code.element)
  let first = 0, latest = null
  const turn = by => () => {
    first += by
    draw()
  }
  const back = h("button", { type: "button", onclick: turn(-PAGE) }, "← Before")
  const on = h("button", { type: "button", onclick: turn(PAGE) }, "After →")
  const pages = h("nav", { class: "pages", "aria-label": "Pages of partitions" }, back, on)
  element.insertBefore(pages, code.element)

  function draw() {
    const all = latest.partitions
    replace(drawing, logDrawing(all))
    const records = Math.max(1, totals(all).records)
    shown.show(all.slice(first, first + PAGE).map(one => partitionRow(shown, topic, one, records)))
    pages.hidden = all.length <= PAGE
    back.disabled = first === 0
    on.disabled = first + PAGE >= all.length
  }

  return {
    element,
    update(detail) {
      const isSame = latest && JSON.stringify(detail.partitions) === JSON.stringify(latest.partitions)
      latest = detail
      if (!isSame) draw()
    },
  }
}

function partitionRow(shown, topic, { partition, log_start_offset: start, high_watermark: end, records, bytes: size }, all) {
  const read = (label, parameters) => h("a", { href: topicLink(topic, "", { partition, ...parameters }), "aria-label": `Read partition ${partition} ${label}` }, label)
  return shown.row(String(partition), number(start), number(end), number(records), bar(records / all), bytes(size),
    h("span", { class: "row-links" }, read("from start", { offset: start }), read("new ones", { from: "latest" })))
}

/** A part of a whole as a bar. */
export const bar = (share, kind = "") =>
  svg("svg", { class: `bar ${kind}`, viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "bar-all", width: 100, height: 8, rx: 2 }), svg("rect", { class: "bar-part", width: Math.max(share > 0 ? 1 : 0, 100 * Math.min(1, share)), height: 8, rx: 2 }))

/** Partitions that the drawing shows; the table has all. */
const DRAWN_MAX = 4
/** Records at the end of each that it shows. */
const CELLS = 7

/** The end of each log, as boxes with their offsets: what was written, and where the next record goes. */
function logDrawing(partitions) {
  const rows = partitions.slice(0, DRAWN_MAX).map(({ partition, log_start_offset: start, high_watermark: end }) => {
    const first = Math.max(start, end - CELLS)
    const cells = Array.from({ length: end - first }, (_, i) => h("span", { class: "cell" }, String(first + i)))
    return h("div", { class: "log" }, h("span", { class: "log-name" }, `Partition ${partition}`),
      h("span", { class: "cells" }, first > start && h("span", { class: "cell more" }, "…"), cells, h("span", { class: "cell next" }, String(end))))
  })
  const said = `The end of ${rows.length === 1 ? "the log" : "the logs"}: each box is a record with its offset; the dashed one is where the next record goes.`
  return h("figure", { class: "panel" }, h("div", { class: "logs", "aria-hidden": "true" }, rows), h("figcaption", { class: "muted" }, said))
}

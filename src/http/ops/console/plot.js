// A plot of some lines over the last minutes, as SVG. Whoever cannot see it gets its gist as a label and its figures as a table.

import { h, replace, setText, svg } from "./dom.js"
import { shortTime } from "./format.js"
import { tip } from "./ui.js"

const HEIGHT = 190
const MARGIN = { top: 10, right: 10, bottom: 24, left: 60 }
/** What the width stands for: at least one minute, and as many as there are samples of, up to five. */
const MINUTES = [1, 2, 3, 4, 5]
/** Rows of the table beneath, the newest first. */
const ROWS_MAX = 12

/**
 * `series` are `{ name, of(point), area? }`; a point has `at` in milliseconds, and a line is broken where `of` gives null.
 * `base` is the step from one unit to the next, 1024 for bytes. `update(points)` draws anew.
 */
export function plot({ title, word, series, format, base = 1 }) {
  const canvas = svg("svg", { class: "plot", role: "img", height: HEIGHT })
  const values = series.map(() => h("b", {}, "–"))
  const legend = h("ul", { class: "legend" }, series.map((one, i) => h("li", { class: `series-${i}` }, h("span", { class: "swatch", "aria-hidden": "true" }), one.name, " ", values[i])))
  const moment = h("span", { class: "muted moment" })
  const rows = h("tbody", {})
  const figures = h("details", { class: "figures", ontoggle: () => draw() }, h("summary", {}, "Figures"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}: figures` },
      h("table", {}, h("caption", { class: "visually-hidden" }, title),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Time"), series.map(one => h("th", { scope: "col", class: "figure" }, one.name)))), rows)))
  const element = h("figure", { class: "panel plot-panel" },
    h("figcaption", {}, h("h2", {}, title, word && tip(word)), legend),
    h("div", { class: "plot-holder" }, canvas, moment), figures)

  let points = [], chosen = null, width = 600, spanMs = 60_000
  const show = value => (value === null || value === undefined ? "–" : format(value))

  function draw() {
    const end = points.at(-1)?.at ?? Date.now()
    const age = end - (points[0]?.at ?? end)
    spanMs = 60_000 * (MINUTES.find(minutes => age <= minutes * 60_000) ?? MINUTES.at(-1))
    const inner = width - MARGIN.left - MARGIN.right
    const x = at => MARGIN.left + inner * (1 - (end - at) / spanMs)
    const seen = points.filter(point => end - point.at <= spanMs)
    const top = ceiling(Math.max(0, ...seen.flatMap(point => series.map(one => one.of(point) ?? 0))), base)
    const y = value => MARGIN.top + (HEIGHT - MARGIN.top - MARGIN.bottom) * (1 - value / top)
    canvas.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`)
    replace(canvas, grid(top, y), moments(x), series.map((one, i) => line(one, i, seen, x, y)).reverse(), crosshair(x))
    const at = chosen === null ? seen.at(-1) : nearest(seen, chosen)
    series.forEach((one, i) => setText(values[i], at ? show(one.of(at)) : "–"))
    setText(moment, chosen === null || !at ? "" : shortTime(at.at))
    canvas.setAttribute("aria-label", summary(seen))
    if (figures.open) {
      const last = seen.slice(-ROWS_MAX).reverse()
      replace(rows, last.map(point => h("tr", {}, h("th", { scope: "row" }, shortTime(point.at)), series.map(one => h("td", { class: "figure" }, show(one.of(point)))))))
    }
  }

  function grid(top, y) {
    return [0, 0.5, 1].map(share => svg("g", { class: "grid" },
      svg("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(top * share), y2: y(top * share) }),
      svg("text", { x: MARGIN.left - 8, y: y(top * share) + 4, "text-anchor": "end" }, format(top * share))))
  }

  function moments(x) {
    const end = points.at(-1)?.at ?? Date.now()
    const step = spanMs <= 120_000 ? 30 : width < 420 ? 120 : 60
    const labels = []
    for (let seconds = 0; seconds * 1000 <= spanMs; seconds += step) {
      const anchor = seconds === 0 ? "end" : "middle"
      const text = seconds === 0 ? "now" : seconds % 60 ? `−${seconds} s` : `−${seconds / 60} min`
      labels.push(svg("text", { x: x(end - seconds * 1000), y: HEIGHT - 6, "text-anchor": anchor }, text))
    }
    return labels
  }

  function line(one, i, seen, x, y) {
    const group = svg("g", { class: `series-${i}` })
    for (const run of runs(seen, one.of)) {
      const path = run.map(([at, value], n) => `${n ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("")
      if (one.area) group.append(svg("path", { class: "area", d: `${path}L${x(run.at(-1)[0]).toFixed(1)} ${y(0)}L${x(run[0][0]).toFixed(1)} ${y(0)}Z` }))
      group.append(svg("path", { class: "line", d: path }))
    }
    return group
  }

  function crosshair(x) {
    const at = chosen === null ? null : nearest(points, chosen)
    return at && svg("line", { class: "crosshair", x1: x(at.at), x2: x(at.at), y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom })
  }

  function summary(seen) {
    const said = series.map(one => {
      const all = seen.map(one.of).filter(value => value !== null && value !== undefined)
      return all.length ? `${one.name}: now ${show(all.at(-1))}, between ${show(Math.min(...all))} and ${show(Math.max(...all))}` : `${one.name}: nothing yet`
    })
    return `${title}, the last ${spanMs === 60_000 ? "minute" : `${spanMs / 60_000} minutes`}. ${said.join(". ")}.`
  }

  canvas.addEventListener("pointermove", event => {
    const end = points.at(-1)?.at
    if (!end) return
    const share = (event.offsetX - MARGIN.left) / (width - MARGIN.left - MARGIN.right)
    chosen = end - spanMs * (1 - Math.min(1, Math.max(0, share)))
    draw()
  })
  canvas.addEventListener("pointerleave", () => {
    chosen = null
    draw()
  })
  new ResizeObserver(([entry]) => {
    width = Math.max(240, Math.round(entry.contentRect.width))
    draw()
  }).observe(canvas.parentElement)

  return {
    element,
    update(all) {
      points = all
      draw()
    },
  }
}

/** Longer than this nobody looked: no line is drawn across it. */
const GAP_MS = 15_000

/** Parts of a line between points without a value. A point alone becomes a short line, so that it is seen. */
function runs(points, of) {
  const all = []
  let run = []
  for (const point of points) {
    const value = of(point)
    const isNone = value === null || value === undefined
    if (run.length && (isNone || point.at - run.at(-1)[0] > GAP_MS)) {
      all.push(run)
      run = []
    }
    if (!isNone) run.push([point.at, value])
  }
  if (run.length) all.push(run)
  return all.map(run => (run.length === 1 ? [[run[0][0] - 1500, run[0][1]], run[0]] : run))
}

/** The point that is nearest in time. */
const nearest = (points, at) =>
  points.reduce((best, point) => (best && Math.abs(best.at - at) <= Math.abs(point.at - at) ? best : point), null)

/** The next of 1, 2, 5, 10, 20, … (of a power of `base`) above a value, so that the scale seldom changes. */
function ceiling(value, base = 1) {
  if (value <= 0) return 1
  const unit = base === 1 ? 1 : base ** Math.floor(Math.log(Math.max(value, 1)) / Math.log(base))
  const power = unit * 10 ** Math.floor(Math.log10(value / unit))
  return [1, 2, 5, 10].map(step => step * power).find(step => step >= value * 1.02) ?? 20 * power
}

// The node that serves this page: what it does a second and how fast, over the last minutes.

import { h, replace } from "../dom.js"
import { bytes, dateTime, duration, figure, latency, number, rate } from "../format.js"
import { history, watch } from "../metrics.js"
import { plot } from "../plot.js"
import { curl, javascript, snippets } from "../snippets.js"
import { complain, lede, tile, tiles } from "../ui.js"

export function nodeView(main, signal) {
  const figures = {
    written: tile("Written", "rate"), p99: tile("Write latency, p99", "p99"), streams: tile("Streams open"),
    connections: tile("Connections"), memory: tile("Memory"), up: tile("Running for"),
  }
  const plots = [
    plot({ title: "Records a second", format: figure, series: [{ name: "written", of: one => one.written, area: true }, { name: "read", of: one => one.read }] }),
    plot({ title: "Write latency", word: "p99", format: latency, series: [{ name: "p50", of: one => one.produceP50, area: true }, { name: "p99", of: one => one.produceP99 }] }),
    plot({ title: "Requests a second", format: figure, series: [{ name: "answered", of: one => one.requests, area: true }, { name: "refused", of: one => one.refusals }] }),
    plot({ title: "Database commit", word: "p99", format: latency, series: [{ name: "p50", of: one => one.commitP50, area: true }, { name: "p99", of: one => one.commitP99 }] }),
    plot({ title: "Bytes written a second", format: bytes, base: 1024, series: [{ name: "bytes", of: one => one.writtenBytes, area: true }] }),
    plot({ title: "Processor", format: share => `${figure(share * 100)} %`, series: [{ name: "of one core", of: one => one.cpu, area: true }] }),
  ]
  const trouble = h("div", {})
  const forbidden = h("p", { class: "hint", hidden: true }, "Figures of the node need a key with the verb metrics, or admin on all topics.")
  const health = h("span", { class: "badge" }, "…")
  const version = h("span", { class: "muted" })
  const code = snippets()
  code.set(() => [["curl: is it ready?", curl({ url: "/readyz" })], ["curl: all figures", curl({ url: "/metrics" })], ["JavaScript", javascript({ url: "/metrics", after: "console.log(await answer.text())" })]])
  const content = h("div", {}, tiles(...Object.values(figures)), h("div", { class: "plots" }, plots.map(one => one.element)))
  replace(main,
    h("div", { class: "title" }, h("h1", { tabindex: "-1" }, "Node"), health, version),
    lede("A ", h("strong", {}, "node"), " is one running gateway; several may share a database. These are the figures of the one that answers here, every two seconds, since this page was opened."),
    trouble, forbidden, content, code.element)

  function show(error) {
    if (error) {
      replace(health, "no answer")
      health.dataset.state = "bad"
      complain(trouble, error)
      forbidden.hidden = error.status !== 403
      content.hidden = error.status === 403 || error.status === 401
      return
    }
    replace(trouble)
    forbidden.hidden = true
    content.hidden = false
    plots.forEach(one => one.update(history))
    const last = history.at(-1)
    if (!last) return
    replace(health, last.databaseUp ? "healthy" : "database away")
    health.dataset.state = last.databaseUp ? "active" : "bad"
    replace(version, `Tidegate ${last.version}`)
    const measured = history.findLast(one => one.produceP99 !== null)
    figures.written.set(last.written === null ? "–" : rate(last.written), last.read === null ? "" : `${rate(last.read)} read`)
    figures.p99.set(measured ? latency(measured.produceP99) : "–", measured ? `p50 ${latency(measured.produceP50)}` : "")
    figures.streams.set(number(last.streams), "live readers")
    figures.connections.set(number(last.connections), "of clients")
    figures.memory.set(bytes(last.memory), last.cpu === null ? "" : `${figure(last.cpu * 100)} % of a core`)
    figures.up.set(duration(Math.max(0, Date.now() - last.startedAt)), `since ${dateTime(last.startedAt)}`)
  }

  watch(signal, show)
  if (history.length) show(null)
}

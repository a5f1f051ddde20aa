// One topic: what it is and how fast it grows, and below that its records, its partitions or its settings.

import { get, path } from "../api.js"
import { h, replace } from "../dom.js"
import { bytes, number, rate, retention } from "../format.js"
import { repeat } from "../poll.js"
import { note, rateNow, rates, totals } from "../rates.js"
import { link, topicLink } from "../router.js"
import { complain, lede, sparkline, tile, tiles } from "../ui.js"
import { partitionsView } from "./partitions.js"
import { produceForm } from "./produce.js"
import { settingsView } from "./settings.js"
import { tailView } from "./tail.js"

const EVERY_MS = 2000

const TABS = [["", "Records"], ["/partitions", "Partitions"], ["/settings", "Settings"]]

/** `tab` is one of the three. */
export function topicView(main, { topic }, given, signal, tab) {
  const url = path("/v1/topics", topic)
  const figures = {
    records: tile("Records", "record"), size: tile("Size"), rate: tile("Written", "rate"), partitions: tile("Partitions", "partition"), keeps: tile("Kept", "retention"),
  }
  const trouble = h("div", {})
  const content = h("div", { class: "tab-content" })
  let detail = null, view = null

  replace(main,
    h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: link("/topics") }, "Topics"), h("span", { "aria-current": "page" }, topic)),
    h("div", { class: "title" }, h("h1", { tabindex: "-1", class: "data" }, topic)),
    tiles(figures.records, figures.rate, figures.size, figures.partitions, figures.keeps),
    h("nav", { class: "tabs", "aria-label": `Topic ${topic}` },
      TABS.map(([place, label]) => h("a", { href: topicLink(topic, place), "aria-current": place === tab ? "page" : null }, label))),
    trouble, content)

  if (tab === "") replace(content, records(topic, given, () => detail?.partition_count ?? 0, signal, look))

  function show() {
    if (tab === "/partitions") {
      view ??= partitionsView({ topic })
      if (!content.contains(view.element)) replace(content, view.element)
      view.update(detail)
    } else if (tab === "/settings" && !view) {
      view = settingsView({ topic, detail, changed: look })
      replace(content, view)
    }
  }

  async function look() {
    try {
      detail = await get(url, { signal })
      replace(trouble)
    } catch (error) {
      if (signal.aborted) return
      // The tail waits for the topic to come into being, and says itself what keeps it from reading.
      if (error.code === "unknown_topic") trouble.firstChild ?? replace(trouble, missing(topic, tab))
      else if (tab !== "") complain(trouble, error)
      return
    }
    if (signal.aborted) return
    const all = totals(detail.partitions)
    const samples = note(`topic ${topic} ${detail.created_at}`, { at: Date.now(), end: all.end })
    const now = rateNow(samples)
    figures.records.set(number(all.records), all.records ? `${bytes(Math.round(all.bytes / all.records))} each` : "none yet")
    figures.size.set(bytes(all.bytes), "as stored")
    figures.rate.set(now === null ? "–" : rate(now))
    replace(figures.rate.detail, sparkline(rates(samples), 96, 22))
    figures.partitions.set(number(detail.partition_count), "order is kept in each")
    figures.keeps.set(retention(detail.retention_ms), detail.retention_bytes < 0 ? "of any size" : `oldest go beyond ${bytes(detail.retention_bytes)} a partition`)
    show()
  }

  repeat(EVERY_MS, signal, look)
}

/** Write on the one side, see it arrive on the other. */
function records(topic, given, partitions, signal, written) {
  const wide = matchMedia("(min-width: 1000px)").matches
  return h("div", { class: "records" },
    h("details", { class: "panel write", open: wide }, h("summary", {}, h("h2", {}, "Write a record")),
      lede("It goes to the end of the log, and is on disk before the answer is sent."),
      produceForm({ topic, partitions, written })),
    tailView({ topic, given, partitions, signal }))
}

const missing = (topic, tab) =>
  h("p", { class: "notice" }, h("strong", {}, "There is no topic of this name. "),
    tab === "" ? "It comes into being with its first record: write one, and see it arrive." : h("a", { href: topicLink(topic) }, "Write its first record"))

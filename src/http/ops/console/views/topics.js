// All topics: a page of them at a time, found by how their names begin.

import { each, get, path, query, sendJson } from "../api.js"
import { h, replace } from "../dom.js"
import { bytes, keeps, number, rate } from "../format.js"
import { repeat } from "../poll.js"
import { note, rateNow, rates, totals } from "../rates.js"
import { go, link, topicLink } from "../router.js"
import { curl, javascript, snippets } from "../snippets.js"
import { complain, dialog, empty, emptyMark, explained, field, lede, notice, sparkline, table } from "../ui.js"
import { NAME_PATTERN, produceForm } from "./produce.js"
import { retentionFields } from "./settings.js"

/** Topics on a page. Each is asked for its size, so it is not more. */
const PAGE = 25
const EVERY_MS = 3000

const COLUMNS = [
  { label: "Topic" }, { label: "Partitions", word: "partition", kind: "figure" }, { label: "Records", word: "record", kind: "figure" },
  { label: "Size", kind: "figure" }, { label: "Written", word: "rate", kind: "figure rate" }, { label: "Kept", word: "retention", kind: "figure" },
]

/** Tokens of the pages that led to one, so that there is a way back. */
const before = new Map()

export function topicsView(main, { prefix = "", after = "" }, signal) {
  const shown = table("Topics", COLUMNS)
  const search = h("input", { type: "search", value: prefix, placeholder: "Name begins with …", "aria-label": "Find topics by the beginning of their name", spellcheck: "false", autocapitalize: "off" })
  const list = h("div", { class: "panel flush", "aria-busy": "true" }, h("p", { class: "loading muted" }, "Loading …"))
  const pages = h("nav", { class: "pages", "aria-label": "Pages of topics" })
  const finder = h("div", { class: "finder", role: "search" }, search)
  const found = h("p", { class: "visually-hidden", role: "status" })
  const code = snippets()
  const url = "/v1/topics" + query({ prefix, limit: PAGE, page_token: after })
  code.set(() => [["curl", curl({ url })], ["JavaScript", javascript({ url })]])

  let typing = 0
  search.addEventListener("input", () => {
    clearTimeout(typing)
    typing = setTimeout(() => go(link("/topics", { prefix: search.value })), 250)
  })

  replace(main,
    h("div", { class: "title" }, h("h1", { tabindex: "-1" }, "Topics"),
      h("div", { class: "actions" }, h("button", { type: "button", onclick: createTopic }, "Create a topic"))),
    lede("A ", h("strong", {}, "topic"), " is a named log. Programs add records at its end; any number of readers follow it, each from its own place, as often as they like."),
    finder, found, list, pages, code.element)
  if (prefix) focusAtEnd(search)

  repeat(EVERY_MS, signal, async () => {
    let page
    try {
      page = await get(url, { signal })
    } catch (error) {
      if (!signal.aborted) complain(list, error)
      return
    }
    const details = await each(page.topics, topic => get(path("/v1/topics", topic.topic), { signal }))
    if (signal.aborted) return
    list.removeAttribute("aria-busy")
    finder.hidden = page.topics.length === 0 && !prefix && !after
    if (page.topics.length === 0) {
      if (!list.querySelector(".empty")) replace(list, prefix || after ? nothingFound(prefix) : firstRecord())
    } else {
      shown.show(page.topics.map((topic, i) => topicRow(shown, topic, details[i])))
      if (!list.contains(shown.element)) replace(list, shown.element)
    }
    found.textContent = prefix ? `${page.topics.length}${page.next_page_token ? " or more" : ""} topics begin with ${prefix}` : ""
    showPages(pages, prefix, after, page)
  })
}

function focusAtEnd(input) {
  input.focus({ preventScroll: true })
  input.setSelectionRange(input.value.length, input.value.length)
}

function topicRow(shown, topic, detail) {
  const name = h("a", { href: topicLink(topic.topic), class: "name" }, topic.topic)
  if (!detail) return shown.row(name, number(topic.partition_count), "–", "–", "–", keeps(topic))
  const all = totals(detail.partitions)
  const samples = note(`topic ${topic.topic} ${topic.created_at}`, { at: Date.now(), end: all.end })
  const now = rateNow(samples)
  return shown.row(name, number(topic.partition_count), number(all.records), bytes(all.bytes),
    h("span", { class: "with-sparkline" }, sparkline(rates(samples).slice(-30)), now === null ? "–" : rate(now)), keeps(topic))
}

function showPages(pages, prefix, after, { next_page_token: next }) {
  if (next) before.set(next, after)
  const back = before.get(after)
  const links = [
    after && back !== undefined && h("a", { class: "button", href: link("/topics", { prefix, after: back }) }, "← Previous"),
    after && back === undefined && h("a", { class: "button", href: link("/topics", { prefix }) }, "← First page"),
    next && h("a", { class: "button", href: link("/topics", { prefix, after: next }) }, "Next →"),
  ]
  const wanted = links.filter(Boolean).map(one => one.href).join()
  if (pages.dataset.shown === wanted) return
  pages.dataset.shown = wanted
  replace(pages, links)
}

const nothingFound = prefix =>
  empty("No topic is called so", h("p", {}, `No topic that you may see begins with “${prefix}”. Names are compared from their beginning, capital letters count.`),
    h("p", {}, h("a", { class: "button", href: link("/topics") }, "Show all topics")))

/** What somebody sees who has just started the gateway. */
function firstRecord() {
  const form = produceForm({ written: receipt => go(topicLink(receipt.topic, "", { from: "earliest" })) })
  return h("div", { class: "empty lesson-page" },
    h("div", {}, emptyMark(), h("h2", {}, "Write your first record"),
      h("p", {}, "There is no topic yet. A topic comes into being with the first record that is written to it; you see it arrive on the next page. The line for curl below the form does the same from a terminal."),
      h("ol", { class: "lesson" },
        h("li", {}, explained("A record", "record"), " is what you write: JSON, text or a file."),
        h("li", {}, "It goes to the end of ", explained("a partition", "partition"), " of the topic,"),
        h("li", {}, "and gets the next ", explained("offset", "offset"), ", its number there."),
        h("li", {}, "From then on it can be read, by any number of readers: nothing is taken away by reading."))),
    h("div", { class: "panel" }, form))
}

function createTopic() {
  dialog("Create a topic", close => {
    const name = h("input", { required: true, pattern: NAME_PATTERN, spellcheck: "false", autocapitalize: "off", autofocus: true })
    const partitions = h("input", { type: "number", min: "1", max: "10000", value: "1", required: true, inputmode: "numeric" })
    const keep = retentionFields({})
    const problem = h("div", {})
    const code = snippets()
    const call = () => ({ method: "PUT", url: path("/v1/topics", name.value || "NAME"), body: { partition_count: Number(partitions.value), ...keep.value() } })
    const refresh = () => {
      const { body, ...rest } = call()
      const same = { ...rest, headers: { "content-type": "application/json" }, body: JSON.stringify(body) }
      code.set(() => [["curl", curl(same)], ["JavaScript", javascript(same)]])
    }
    const submit = async event => {
      event.preventDefault()
      const { method, url, body } = call()
      try {
        await sendJson(method, url, body)
        close()
        go(topicLink(name.value))
      } catch (error) {
        replace(problem, notice(error))
      }
    }
    const form = h("form", { onsubmit: submit, oninput: refresh },
      field("Name", name, { word: "topic", hint: "Letters, digits, dot, dash, underscore." }),
      field("Partitions", partitions, { word: "partition", hint: "One is enough for a start. More can be added, never fewer." }),
      keep.element, problem,
      h("div", { class: "actions" }, h("button", { class: "primary" }, "Create topic"), h("button", { type: "button", onclick: close }, "Cancel")),
      code.element)
    refresh()
    return form
  })
}

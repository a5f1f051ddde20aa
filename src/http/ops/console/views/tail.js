// The live tail of a topic: where to begin, what to show, pause, and the records as they come.

import { query } from "../api.js"
import { h, replace, setText } from "../dom.js"
import { count, number, rate, time } from "../format.js"
import { remember } from "../router.js"
import { curl, eventSource, snippets } from "../snippets.js"
import { Buffer, CHARS_MAX, RECORDS_MAX } from "../tail_buffer.js"
import { address, beginning, TailStream } from "../tail_stream.js"
import { dialog, explained, field, notice } from "../ui.js"
import { virtualList } from "../virtual_list.js"
import { keyText, preview, recordView } from "./record.js"

/** Records that have come and are not shown yet are shown at the latest when they are so many, whether it is time for a frame or not. */
const UNDRAWN_MAX = 1000
/** How often what has changed is said aloud, at most. */
const SAY_EVERY_MS = 5000
const HOUR_MS = 3_600_000
/** Characters of a value that a row has: no screen is wider. */
const PREVIEW_MAX = 400

const STATES = { connecting: "Connecting …", live: "Live", reconnecting: "Connection lost, coming back …", refused: "Stopped", paused: "Paused" }

/** `given` are the parameters of the address; `partitions()` tells how many there are. */
export function tailView({ topic, given, partitions, signal }) {
  const spec = { topic, from: "-50", ...known(given) }
  const buffer = new Buffer()
  let stream = null, state = "connecting", paused = false, held = false
  let undrawn = [], waiting = [], waitingChars = 0, cutOff = false, scheduled = false
  let seen = 0, perSecond = 0, openedAt = Date.now(), seenSince = 0, saidAt = 0

  const list = virtualList({
    label: `Records of ${topic}, the newest first`,
    columns: ["Time", "Partition", explained("Offset", "offset"), "Key", "Value"],
    rowHeight: () => (matchMedia("(max-width: 700px)").matches ? 62 : 36),
    row: fillRow,
    open: openRecord,
  })
  const status = h("span", { class: "state", "data-state": state })
  const figures = h("span", { class: "muted figures-line" })
  const aloud = h("div", { class: "visually-hidden", role: "status", "aria-live": "polite" })
  const pauseButton = h("button", { type: "button", onclick: () => (paused ? resume() : pauseNow()) }, "Pause")
  const newestButton = h("button", { type: "button", hidden: true, onclick: toNewest }, "To the newest")
  const clearButton = h("button", { type: "button", class: "quiet", onclick: clear }, "Clear")
  const messages = h("div", {})
  const nothing = h("p", { class: "nothing muted" })
  const code = snippets()

  function restart() {
    stream?.stop()
    buffer.clear()
    undrawn = []
    waiting = []
    waitingChars = 0
    seen = seenSince = 0
    paused = held = cutOff = false
    openedAt = Date.now()
    replace(messages)
    list.show(buffer)
    run(null)
    const { url, filter } = address(spec)
    const streamUrl = url + query({ ...beginning(spec), ...filter, format: "sse" })
    const pageUrl = url + query({ ...beginning(spec), ...filter })
    code.set(() => [["curl: follow", curl({ url: streamUrl, stream: true })], ["curl: a page", curl({ url: pageUrl })], ["JavaScript", eventSource(streamUrl, topic)]])
    remember({ ...known(spec), text: text.value })
  }

  /** Opens the stream, behind `position` if there is one. */
  function run(position) {
    stream = new TailStream(spec, {
      items: take,
      state: now => setState(now),
      gap: words => replace(messages, h("p", { class: "notice warn" }, words)),
      refused(problem) {
        setState("refused")
        replace(messages, notice(problem, restart))
      },
    })
    stream.start(position)
  }

  function take(items) {
    seen += items.length
    if (!paused) {
      undrawn.push(...items)
      // History is gone through up to what can be kept; then somebody may want to look at it before it goes on.
      seenSince += items.length
      if (seenSince >= RECORDS_MAX && items.at(-1).record.timestamp < openedAt) {
        held = true
        pauseNow()
      }
      if (undrawn.length > UNDRAWN_MAX || document.hidden) draw()
    } else if (!cutOff) {
      waiting.push(...items)
      for (const item of items) waitingChars += item.line.length
      // What waits is bounded: beyond that the stream is closed, and opened again behind the last one.
      if (held || waiting.length >= RECORDS_MAX || waitingChars > CHARS_MAX) {
        cutOff = true
        stream.stop()
      }
    }
    schedule()
  }

  const schedule = () => {
    if (scheduled) return
    scheduled = true
    requestAnimationFrame(() => {
      scheduled = false
      draw()
    })
  }

  function draw() {
    if (undrawn.length) {
      const items = undrawn
      undrawn = []
      list.show(buffer, buffer.add(items))
    }
    const shown = paused ? "paused" : state
    status.dataset.state = shown
    setText(status, STATES[shown])
    const parts = [`${count(seen, "record")} seen`]
    if (buffer.kept + waiting.length < seen) parts.push(`the last ${number(buffer.kept)} kept`)
    if (text.value) parts.push(`${number(buffer.length)} shown`)
    if (perSecond > 0 && !paused) parts.push(rate(perSecond))
    setText(figures, parts.join(" · "))
    const more = cutOff ? `${number(waiting.length)}+` : number(waiting.length)
    setText(pauseButton, !paused ? "Pause" : held ? "Go on reading" : waiting.length ? `Resume (${more} new)` : "Resume")
    newestButton.hidden = list.isAtTop()
    nothing.hidden = buffer.length > 0
    setText(nothing, buffer.kept ? "None of the records kept has this text." : spec.key ? "No record with this key yet." : "No records yet. The next one shows up here as soon as it is written.")
  }

  function setState(now) {
    if (now === state) return
    state = now
    say(STATES[now])
    schedule()
  }

  const say = words => {
    saidAt = Date.now()
    setText(aloud, words)
  }

  function pauseNow() {
    paused = true
    say(held ? `${number(seen)} records are read. Choose “Go on reading” for those behind them.` : STATES.paused)
    schedule()
  }

  function resume() {
    paused = held = false
    seenSince = 0
    undrawn.push(...waiting)
    const position = waiting.at(-1)?.id
    waiting = []
    waitingChars = 0
    say("Goes on")
    if (cutOff) {
      cutOff = false
      run(position)
    }
    schedule()
  }

  function toNewest() {
    list.toTop()
    list.element.focus()
    schedule()
  }

  function clear() {
    buffer.clear()
    list.show(buffer)
    schedule()
  }

  function openRecord(item) {
    let now = item
    const before = h("button", { type: "button", onclick: () => step(1) }, "← Older")
    const after = h("button", { type: "button", onclick: () => step(-1) }, "Newer →")
    const content = h("div", {})
    const step = by => {
      const next = list.neighbour(now, by)
      if (!next) return
      now = next
      show()
    }
    const show = () => {
      replace(content, recordView(now.line))
      setText(opened.heading, `Record ${number(now.record.offset)} of partition ${now.record.partition}`)
      before.disabled = !list.neighbour(now, 1)
      after.disabled = !list.neighbour(now, -1)
    }
    const opened = dialog("Record", () => [h("div", { class: "actions steps" }, before, after), content], {
      drawer: true,
      onclose() {
        list.select(now)
        list.element.focus()
      },
    })
    show()
  }

  const text = h("input", { type: "search", placeholder: "text in the record", value: given.text ?? "", spellcheck: "false" })
  text.addEventListener("input", () => {
    buffer.filter(text.value)
    list.show(buffer)
    list.toTop()
    remember({ ...known(spec), text: text.value })
    schedule()
  })
  buffer.filter(text.value)
  list.element.addEventListener("scroll", schedule, { passive: true })

  const controls = tailControls(spec, partitions, restart)
  const measured = meter()
  let said = 0
  const ticker = setInterval(() => {
    perSecond = measured(seen)
    if (seen !== said && Date.now() - saidAt > SAY_EVERY_MS && !paused) {
      said = seen
      say(`${count(seen, "record")} seen`)
    }
    controls.refresh()
    schedule()
  }, 1000)

  signal.addEventListener("abort", () => {
    stream?.stop()
    clearInterval(ticker)
  })
  restart()
  draw()

  return h("section", { class: "panel tail", "aria-label": "Live tail" },
    h("header", { class: "panel-head" }, h("h2", {}, explained("Live tail", "tail")), h("p", { class: "muted" }, "Records as they come in, the newest on top.")),
    h("form", { class: "toolbar", onsubmit: event => event.preventDefault(), role: "search", "aria-label": "What to show" },
      controls.element, field("Text", text)),
    h("div", { class: "tail-head" }, status, figures, h("div", { class: "actions" }, newestButton, pauseButton, clearButton)),
    aloud, messages,
    h("div", { class: "tail-list" }, list.element, nothing),
    h("p", { class: "hint keys" }, "Click a record to see all of it. Keys: arrows move, Enter opens."),
    code.element)
}

/** The parameters of an address that say where a tail begins and what it covers. */
function known({ from, partition, offset, key }) {
  const all = { from, partition, offset, key }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined && value !== ""))
}

/** The mean over the last three seconds, asked once a second. */
function meter() {
  const last = []
  return total => {
    last.push(total)
    if (last.length > 4) last.shift()
    return (total - last[0]) / Math.max(1, last.length - 1)
  }
}

/** Where to begin, which partition, which key: a change begins anew. */
function tailControls(spec, partitions, restart) {
  const starts = [["-50", ""], ["latest", "Latest: only new ones"], ["earliest", "Earliest: all there is"], ["time", "A time …"], ["offset", "An offset …"]]
  if (/^-\d+$/.test(spec.from) && spec.from !== "-50") starts.unshift([spec.from, ""])
  const isTime = spec.from !== undefined && !starts.some(([value]) => value === spec.from)
  const chosen = spec.offset !== undefined ? "offset" : isTime ? "time" : spec.from
  const start = h("select", {}, starts.map(([value, label]) => h("option", { value, selected: value === chosen }, label)))
  const when = h("input", { type: "datetime-local", step: "1" })
  const offset = h("input", { type: "number", min: "0", value: spec.offset ?? "0", inputmode: "numeric" })
  const partition = h("select", {})
  const key = h("input", { type: "search", placeholder: "exactly this key", value: spec.key ?? "", spellcheck: "false" })
  const named = new Date(/^\d+$/.test(spec.from) ? Number(spec.from) : spec.from)
  when.value = local(isTime && !Number.isNaN(named.getTime()) ? named : new Date(Date.now() - HOUR_MS))

  const whenField = field("Time", when)
  const offsetField = field("Offset", offset, { word: "offset" })

  function offerPartitions() {
    const wanted = Math.max(partitions(), Number(spec.partition ?? 0) + 1)
    const all = start.value === "offset" ? [] : [h("option", { value: "" }, "All")]
    const was = partition.options.length ? partition.value : spec.partition ?? ""
    replace(partition, all, Array.from({ length: wanted }, (_, i) => h("option", { value: String(i) }, String(i))))
    partition.value = was === "" && start.value === "offset" ? "0" : was
    nameLast()
  }

  /** Of how many partitions the last records are, which may only be known later. */
  function nameLast() {
    const each = partition.value === "" && partitions() > 1 ? " of each partition" : ""
    for (const option of start.options) if (/^-\d+$/.test(option.value)) setText(option, `Last ${number(-Number(option.value))}${each}`)
  }

  function apply() {
    const way = start.value
    whenField.hidden = way !== "time"
    offsetField.hidden = way !== "offset"
    offerPartitions()
    delete spec.offset
    delete spec.from
    if (way === "offset") {
      if (!offset.checkValidity() || offset.value === "") return
      spec.offset = offset.value
    } else if (way === "time") {
      if (when.value === "") return
      spec.from = String(new Date(when.value).getTime())
    } else spec.from = way
    spec.partition = partition.value === "" ? undefined : partition.value
    spec.key = key.value === "" ? undefined : key.value
    restart()
  }

  for (const control of [start, when, offset, partition, key]) control.addEventListener("change", apply)
  /** The topic may have more partitions by now, or it is only known now how many. Not while somebody chooses. */
  const refresh = () => {
    if (partition !== document.activeElement && Number(partition.options[partition.options.length - 1]?.value || -1) + 1 < partitions()) offerPartitions()
  }
  whenField.hidden = chosen !== "time"
  offsetField.hidden = chosen !== "offset"
  offerPartitions()
  return { refresh, element: [field("Start at", start), whenField, offsetField, field("Partition", partition, { word: "partition" }), field("Key", key, { word: "key" })] }
}

/** As `datetime-local` wants it: local, without a zone. */
const local = date => new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19)

function fillRow(row, { line, record }) {
  const [when, partition, offset, key, value] = row.cells
  setText(when, time(record.timestamp))
  setText(partition, String(record.partition))
  setText(offset, String(record.offset))
  setText(key, keyText(record))
  setText(value, preview(line, record).slice(0, PREVIEW_MAX))
  row.dataset.kind = kindOf(record)
}

/** Text is marked as such: it may look like the JSON beside it. */
function kindOf({ value, value_base64: base64 }) {
  if (value === null) return "tombstone"
  if (base64 !== undefined) return "bytes"
  return typeof value === "string" ? "text" : "json"
}

// What a topic keeps and how many partitions it has; and the ways to lose data: trim, delete. Each shows first what it would do.

import { get, path, remove, sendJson } from "../api.js"
import { h, replace, setText } from "../dom.js"
import { bytes, count, number, retention } from "../format.js"
import { go, link } from "../router.js"
import { totals } from "../rates.js"
import { curl, javascript, snippets } from "../snippets.js"
import { announce, dialog, explained, field, notice } from "../ui.js"

const UNITS = [["86400000", "days"], ["3600000", "hours"], ["60000", "minutes"], ["1000", "seconds"]]
const SIZES = [["1048576", "MiB"], ["1073741824", "GiB"], ["1024", "KiB"]]

/** Fields for retention. `value()` gives the members that a topic is made or changed with. */
export function retentionFields({ retention_ms: ms = 604_800_000, retention_bytes: size = -1 }) {
  const time = amount("Keep for", ms, UNITS, "for ever")
  const space = amount("Of each partition, keep at least", size, SIZES, "everything", "Beyond this size the oldest records go, a batch at a time, while at least so much is left.")
  return {
    element: h("fieldset", { class: "retention" }, h("legend", {}, explained("Retention", "retention")), time.element, space.element),
    value: () => ({ retention_ms: time.value(), retention_bytes: space.value() }),
  }
}

/** A number with a unit; or no limit, which is -1. */
function amount(label, given, units, unlimited, hint) {
  const unit = units.find(([factor]) => given >= 0 && given % Number(factor) === 0) ?? units.at(given < 0 ? 0 : -1)
  const figure = h("input", { type: "number", min: "0", step: "any", inputmode: "decimal", value: given < 0 ? "" : String(given / Number(unit[0])) })
  const factor = h("select", { "aria-label": `${label}: unit` },
    units.map(([value, name]) => h("option", { value, selected: given >= 0 && value === unit[0] }, name)),
    h("option", { value: "-1", selected: given < 0 }, unlimited))
  const follow = () => (figure.disabled = factor.value === "-1")
  factor.addEventListener("change", follow)
  follow()
  const holder = h("div", { class: "amount" }, figure, factor)
  const wrapped = field(label, figure, { hint })
  figure.replaceWith(holder)
  holder.prepend(figure)
  return {
    element: wrapped,
    value: () => (factor.value === "-1" ? -1 : Math.round(Number(figure.value || 0) * Number(factor.value))),
  }
}

export function settingsView({ topic, detail, changed }) {
  return h("div", { class: "columns" }, configuration(topic, detail, changed), trim(topic, detail, changed), deletion(topic))
}

function configuration(topic, detail, changed) {
  const partitions = h("input", { type: "number", min: String(detail.partition_count), max: "10000", value: String(detail.partition_count), inputmode: "numeric", required: true })
  const keep = retentionFields(detail)
  const answer = h("div", { role: "status" })
  const code = snippets()
  const patch = () => {
    const wanted = { partition_count: Number(partitions.value), ...keep.value() }
    return Object.fromEntries(Object.entries(wanted).filter(([name, value]) => value !== detail[name]))
  }
  const url = path("/v1/topics", topic)
  const refresh = () => {
    const same = { method: "PATCH", url, headers: { "content-type": "application/json" }, body: JSON.stringify(patch()) }
    code.set(() => [["curl", curl(same)], ["JavaScript", javascript(same)]])
  }
  const submit = async event => {
    event.preventDefault()
    const change = patch()
    if (Object.keys(change).length === 0) return replace(answer, h("p", { class: "hint" }, "Nothing was changed."))
    try {
      Object.assign(detail, await sendJson("PATCH", url, change))
      replace(answer, h("p", { class: "notice good" }, "Saved."))
      partitions.min = String(detail.partition_count)
      changed()
      refresh()
    } catch (error) {
      replace(answer, notice(error))
    }
  }
  refresh()
  return h("form", { class: "panel", onsubmit: submit, oninput: refresh }, h("h2", {}, "Settings"), keep.element,
    field("Partitions", partitions, { word: "partition", hint: "Can only grow. Keys may go to other partitions from then on; a read by key knows where to look." }),
    answer, h("div", { class: "actions" }, h("button", { class: "primary" }, "Save")), code.element)
}

function trim(topic, detail, changed) {
  const first = detail.partitions.find(one => one.records > 0)
  const partition = h("select", {}, detail.partitions.map(one => h("option", { value: String(one.partition), selected: one === first }, String(one.partition))))
  const offset = h("input", { type: "number", min: "0", value: String(first?.log_start_offset ?? 0), required: true, inputmode: "numeric" })
  const effect = h("p", { class: "effect", role: "status" })
  const answer = h("div", { role: "status" })
  const code = snippets()
  const call = () => ({ method: "DELETE", url: path("/v1/topics", topic, "partitions", partition.value, "records") + `?before_offset=${offset.value}` })
  const refresh = () => {
    const { log_start_offset: start, high_watermark: end } = detail.partitions[Number(partition.value)]
    offset.min = String(start)
    offset.max = String(end)
    const gone = Math.max(0, Math.min(end, Number(offset.value)) - start)
    setText(effect, `Partition ${partition.value} has offsets ${number(start)} to ${number(end)}. ` +
      (gone ? `${count(gone, "record")} would be deleted for ever; ${number(end - start - gone)} stay.` : "Nothing would be deleted."))
    code.set(() => [["curl", curl(call())], ["JavaScript", javascript(call())]])
  }
  const submit = async event => {
    event.preventDefault()
    const { log_start_offset: start } = detail.partitions[Number(partition.value)]
    const gone = Number(offset.value) - start
    const agreed = await confirmed("Delete old records?", [h("p", {}, effect.textContent)], `Delete ${count(gone, "record")}`)
    if (!agreed) return
    try {
      await remove(call().url)
      Object.assign(detail, await get(path("/v1/topics", topic)))
      replace(answer, h("p", { class: "notice good" }, `${count(gone, "record")} deleted.`))
      changed()
      refresh()
    } catch (error) {
      replace(answer, notice(error))
    }
  }
  partition.addEventListener("change", () => (offset.value = String(detail.partitions[Number(partition.value)].log_start_offset)))
  refresh()
  return h("form", { class: "panel", onsubmit: submit, oninput: refresh, onchange: refresh }, h("h2", {}, "Delete old records"),
    h("p", { class: "muted" }, "Retention does this by itself. By hand: all records of a partition before an offset."),
    field("Partition", partition, { word: "partition" }), field("Before offset", offset, { word: "offset" }), effect, answer,
    h("div", { class: "actions" }, h("button", { class: "danger" }, "Delete records …")), code.element)
}

function deletion(topic) {
  const url = path("/v1/topics", topic)
  const code = snippets()
  code.set(() => [["curl", curl({ method: "DELETE", url })], ["JavaScript", javascript({ method: "DELETE", url, after: "console.log(answer.status) // 204" })]])
  const ask = async () => {
    try {
      const now = await get(url)
      const all = totals(now.partitions)
      const lost = [h("p", {}, `This deletes the topic with all that is in it, for ever:`),
        h("ul", {}, h("li", {}, `${count(all.records, "record")} in ${count(now.partition_count, "partition")}, ${bytes(all.bytes)}`),
          h("li", {}, "how far every group has read in it"), h("li", {}, `its settings (kept ${retention(now.retention_ms)})`)),
        h("p", { class: "muted" }, "Streams that are open on it end. A new topic of this name would start afresh, from offset 0.")]
      if (!(await confirmed(`Delete ${topic}?`, lost, "Delete topic", topic))) return
      await remove(url)
      announce(`Topic ${topic} is deleted`)
      go(link("/topics"))
    } catch (error) {
      dialog("Not deleted", () => [notice(error)])
    }
  }
  return h("section", { class: "panel" }, h("h2", {}, "Delete the topic"),
    h("p", { class: "muted" }, "You see first what would be lost."),
    h("div", { class: "actions" }, h("button", { type: "button", class: "danger", onclick: ask }, "Delete topic …")), code.element)
}

/** Asks before something that cannot be undone; with `name`, that has to be typed. Resolves to whether to do it. */
export const confirmed = (title, content, verb, name) =>
  new Promise(resolve => {
    let agreed = false
    dialog(title, close => {
      const button = h("button", { class: "danger solid", disabled: name !== undefined }, verb)
      const typed = h("input", { autocomplete: "off", spellcheck: "false", autocapitalize: "off", autofocus: true, oninput: () => (button.disabled = typed.value !== name) })
      const submit = event => {
        event.preventDefault()
        agreed = true
        close()
      }
      return h("form", { onsubmit: submit }, content, name !== undefined && field(`Type ${name} to confirm`, typed),
        h("div", { class: "actions" }, button, h("button", { type: "button", onclick: close, autofocus: name === undefined }, "Cancel")))
    }, { onclose: () => resolve(agreed) })
  })

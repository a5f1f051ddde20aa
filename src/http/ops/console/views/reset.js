// Moves the place from which a group reads on. What would move is shown before anything does.

import { path, sendJson } from "../api.js"
import { h, replace } from "../dom.js"
import { count, number } from "../format.js"
import { curl, javascript, snippets } from "../snippets.js"
import { announce, choice, dialog, field, lede, notice, table } from "../ui.js"

const TARGETS = [["earliest", "Beginning"], ["latest", "End"], ["time", "Time"], ["offset", "Offset"]]

/** `detail` is the group as it is; `active()` tells how many members are in the way; `changed()` is called when something was moved. */
export function resetDialog(detail, active, changed) {
  const url = path("/v1/groups", detail.group, "offsets")
  dialog(`Move ${detail.group}`, close => {
    const names = [...new Set(detail.partitions.map(one => one.topic))]
    const topic = names.length
      ? h("select", {}, names.map(name => h("option", { value: name }, name)))
      : h("input", { required: true, spellcheck: "false", autocapitalize: "off" })
    const partition = h("select", {})
    const when = h("input", { type: "datetime-local", step: "1" })
    const offset = h("input", { type: "number", min: "0", value: "0", inputmode: "numeric" })
    const whenField = field("Time", when, { hint: "The first record that is not older." })
    const offsetField = field("Offset", offset, { word: "offset" })
    const force = h("input", { type: "checkbox", id: "fence-members" })
    const result = h("div", { role: "status" })
    const code = snippets()
    const preview = h("button", { class: "primary" }, "Show what would move")
    let to = "earliest"

    const offerPartitions = () => {
      const all = detail.partitions.filter(one => one.topic === topic.value)
      replace(partition, h("option", { value: "" }, "All"), all.map(one => h("option", { value: String(one.partition) }, String(one.partition))))
    }
    const target = () => {
      if (to === "offset") return { offset: Number(offset.value) }
      if (to === "time") return { to: String(new Date(when.value).getTime()) }
      return { to }
    }
    const body = more => ({ topic: topic.value, ...(partition.value === "" ? {} : { partition: Number(partition.value) }), ...target(), ...more })
    const call = more => ({ method: "PUT", url, headers: { "content-type": "application/json" }, body: JSON.stringify(body(more)) })
    const refresh = () => {
      whenField.hidden = to !== "time"
      offsetField.hidden = to !== "offset"
      when.required = to === "time"
      replace(result)
      const dry = call({ dry_run: true, force: true }), real = call(force.checked ? { force: true } : {})
      code.set(() => [["curl: only look", curl(dry)], ["curl: move", curl(real)], ["JavaScript: move", javascript(real)]])
    }

    async function look(event) {
      event.preventDefault()
      try {
        // Whether members are in the way is asked when it is done; to look harms nobody.
        const { offsets } = await sendJson("PUT", url, body({ dry_run: true, force: true }))
        replace(result, plan(offsets), active() > 0 && fence(), h("div", { class: "actions" }, move(offsets)))
      } catch (error) {
        replace(result, notice(error))
      }
    }

    function plan(offsets) {
      const shown = table("What would move", [{ label: "Partition" }, { label: "From", kind: "figure" }, { label: "To", kind: "figure" }, { label: "Which means", kind: "text" }])
      shown.show(offsets.map(({ topic: name, partition: at, from_offset: from, next_offset: next }) =>
        shown.row(`${name} / ${at}`, from === undefined || from === null ? "–" : number(from), number(next), meaning(from ?? next, next))))
      return [h("h3", {}, "This would move (nothing has been changed yet)"), shown.element]
    }

    const fence = () =>
      h("div", { class: "notice warn" }, h("p", {}, `The group has ${count(active(), "active member")}. Stop them first; or fence them: each is told, commits nothing more of what it is at, and has to begin anew.`),
        h("p", { class: "check" }, force, h("label", { for: force.id }, "Fence the active members")))

    function move(offsets) {
      const button = h("button", { type: "button", class: "danger solid" }, `Move ${count(offsets.length, "partition")}`)
      button.addEventListener("click", async () => {
        try {
          await sendJson("PUT", url, body(force.checked ? { force: true } : {}))
          close()
          announce(`${count(offsets.length, "partition")} moved`)
          changed()
        } catch (error) {
          replace(result, notice(error))
        }
      })
      return button
    }

    force.addEventListener("change", () => {
      const real = call(force.checked ? { force: true } : {})
      code.set(() => [["curl: move", curl(real)], ["JavaScript: move", javascript(real)]])
    })
    topic.addEventListener("change", offerPartitions)
    offerPartitions()
    refresh()
    const inputs = h("div", { oninput: refresh, onchange: refresh, class: "pair" }, field("Topic", topic, { word: "topic" }), field("Partition", partition, { word: "partition" }),
      whenField, offsetField)
    return h("form", { onsubmit: look },
      lede("The group goes on reading from another place: back, to do work again, or forward, to skip it. First you see what would move."),
      choice("Where to", TARGETS, to, chosen => { to = chosen; refresh() }),
      inputs, h("div", { class: "actions" }, preview), result, code.element)
  })
}

/** What a move does to the work. */
function meaning(from, next) {
  if (next < from) return `${count(from - next, "record")} read again`
  if (next > from) return `${count(next - from, "record")} skipped`
  return "stays"
}

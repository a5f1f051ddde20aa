// One consumer group: who is in it and for how long still, how far it has read, and how its lag goes.

import { path, remove, send } from "../api.js"
import { h, replace, setText } from "../dom.js"
import { count, duration, figure, number } from "../format.js"
import { plot } from "../plot.js"
import { repeat } from "../poll.js"
import { note } from "../rates.js"
import { go, link, topicLink } from "../router.js"
import { curl, javascript, snippets } from "../snippets.js"
import { announce, complain, dialog, explained, lede, notice, table, tile, tiles } from "../ui.js"
import { lagOf, stateOf } from "./groups.js"
import { bar } from "./partitions.js"
import { resetDialog } from "./reset.js"
import { confirmed } from "./settings.js"

const EVERY_MS = 2000
const LEASE_EVERY_MS = 250
/** A clock that is off by less is taken as right: the node tells its own in whole seconds. */
const CLOCK_MS = 2000

const MEMBERS = [{ label: "Member", word: "member" }, { label: "Lease left", word: "lease", kind: "lease" }, { label: "Epoch", word: "epoch", kind: "figure" }, { label: "Holds", word: "partition" }]
const PARTITIONS = [
  { label: "Partition", word: "partition" }, { label: "Member" }, { label: "Committed", word: "committed", kind: "figure" }, { label: "End", word: "end", kind: "figure" },
  { label: "Done", word: "done", kind: "share" }, { label: "Lag", word: "lag", kind: "figure" }, { label: "Oldest waits", word: "oldest waits", kind: "figure" },
]

export function groupView(main, { group }, signal) {
  const url = path("/v1/groups", group)
  const state = h("span", {})
  const figures = { members: tile("Members", "member"), lag: tile("Lag", "lag"), age: tile("Oldest record waits", "oldest waits"), partitions: tile("Partitions", "partition") }
  const lag = plot({ title: "Lag over time", word: "lag", format: figure, series: [{ name: "records", of: sample => sample.lag, area: true }] })
  const members = table("Members", MEMBERS)
  const partitions = table("Partitions", PARTITIONS)
  const nobody = h("p", { class: "muted nothing" }, "Nobody is reading. What is written waits; the next member goes on from the committed offsets.")
  const trouble = h("div", {})
  const body = h("div", { hidden: true },
    tiles(figures.members, figures.lag, figures.age, figures.partitions),
    lag.element,
    h("section", { class: "panel flush" }, h("h2", {}, "Members"), members.element, nobody),
    h("section", { class: "panel flush" }, h("h2", {}, "How far it has read"), partitions.element))
  const code = snippets()
  let detail = null, skew = 0
  /** Members whose lease has not run out, as the node counts them, too. */
  const living = () => detail.members.filter(member => !isGone(member, Date.now() + skew))
  const same = () => [["curl: this group", curl({ url })], ["curl: poll as a member", curl(poll(url, detail))], ["JavaScript", javascript({ url })]]
  code.set(same)

  const act = work => () => detail && work()
  replace(main,
    h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: link("/groups") }, "Groups"), h("span", { "aria-current": "page" }, group)),
    h("div", { class: "title" }, h("h1", { tabindex: "-1", class: "data" }, group), state,
      h("div", { class: "actions" },
        h("button", { type: "button", onclick: act(() => resetDialog(detail, () => living().length, look)) }, "Move offsets …"),
        h("button", { type: "button", class: "danger", onclick: act(() => deletion(detail, living().length, url)) }, "Delete …"))),
    lede("Each ", explained("member", "member"), " renews a ", explained("lease", "lease"), " with every call. When one runs out, its partitions go to the others, from the ", explained("committed offset", "committed"), " on."),
    trouble, body, code.element)

  async function look() {
    try {
      const answer = await send("GET", url, { signal })
      detail = await answer.json()
      skew = clockSkew(answer)
    } catch (error) {
      if (!signal.aborted) complain(trouble, error)
      return
    }
    if (signal.aborted) return
    replace(trouble)
    body.hidden = false
    replace(state, stateOf(detail.state))
    figures.lag.set(number(detail.lag), detail.lag === 1 ? "record" : "records")
    figures.age.set(detail.lag === 0 ? "none waits" : duration(detail.lag_ms))
    figures.partitions.set(number(detail.partitions.length))
    lag.update(note(`group ${group}`, { at: Date.now(), lag: detail.lag, lagMs: detail.lag_ms }))
    members.show(detail.members.map(member => memberRow(members, member)))
    const alive = new Set(living().map(member => member.member_id))
    partitions.show(detail.partitions.map(one => partitionRow(partitions, one, alive)))
    members.element.hidden = detail.members.length === 0
    runDown()
    code.set(same)
  }

  /** Shows what is left of every lease at this moment, and who is gone. */
  function runDown() {
    if (!detail) return
    const now = Date.now() + skew
    const alive = living().length, gone = detail.members.length - alive
    figures.members.set(number(alive), gone ? `${number(gone)} gone` : "")
    nobody.hidden = alive > 0
    for (const meter of members.body.querySelectorAll("[data-lease-end]")) {
      const left = Math.max(0, Number(meter.dataset.leaseEnd) - now)
      const share = Math.min(1, left / Number(meter.dataset.leaseMs))
      const [drawing, words] = meter.children
      drawing.querySelector(".bar-part").setAttribute("width", String(100 * share))
      drawing.classList.toggle("low", share < 0.25)
      setText(words, left > 0 ? duration(left) : "gone")
      meter.closest("tr").classList.toggle("gone", left === 0)
    }
  }

  const timer = setInterval(runDown, LEASE_EVERY_MS)
  signal.addEventListener("abort", () => clearInterval(timer))
  repeat(EVERY_MS, signal, look)
}

/** By how much the node's clock is ahead of the one here; 0 if that is little. */
function clockSkew(answer) {
  const ahead = Date.parse(answer.headers.get("date")) + 500 - Date.now()
  return Math.abs(ahead) > CLOCK_MS ? ahead : 0
}

/** Whether a member's lease has run out, at a time of the node's clock. */
const isGone = ({ lease_ends_at: end }, now) => end <= now

function memberRow(shown, { member_id: id, epoch, lease_ms: ms, lease_ends_at: end, assignments }) {
  const meter = h("span", { class: "lease-meter", "data-lease-end": String(end), "data-lease-ms": String(ms) }, bar(1), h("span", {}, ""))
  return shown.row(h("span", { class: "data" }, id), meter, number(epoch), holds(assignments))
}

/** `clicks 0, 1, 2; orders 0` */
function holds(assignments) {
  if (!assignments.length) return h("span", { class: "muted" }, "nothing, it stands by")
  const byTopic = new Map()
  for (const { topic, partition } of assignments) byTopic.set(topic, [...(byTopic.get(topic) ?? []), partition])
  return [...byTopic].map(([topic, all], i) => [i > 0 && "; ", h("span", { class: "data" }, topic), ` ${all.join(", ")}`])
}

/** `alive` are the names of the members that are not gone: what another holds is about to be given away. */
function partitionRow(shown, { topic, partition, owner, next_offset: next, log_start_offset: start, high_watermark: end, lag, lag_ms: age }, alive) {
  const all = Math.max(1, end - start)
  return shown.row(h("a", { href: topicLink(topic, "", { partition, offset: next ?? start }), "aria-label": `${topic} / ${partition}: read from the committed offset` }, `${topic} / ${partition}`),
    owner ? h("span", { class: "data" }, owner, !alive.has(owner) && h("span", { class: "muted" }, " (gone)")) : h("span", { class: "muted" }, "nobody"),
    next === undefined || next === null ? "–" : number(next), number(end), bar(1 - lag / all), lagOf(lag), lag ? duration(age) : "–")
}

/** The call of a member of this group. */
function poll(url, detail) {
  const topics = [...new Set(detail?.partitions.map(one => one.topic) ?? [])]
  const body = JSON.stringify({ topics: topics.length ? topics : ["clicks"], wait_ms: 5000 })
  return { method: "POST", url: `${url}/members/me/poll`, headers: { "content-type": "application/json" }, body }
}

async function deletion({ group, partitions }, active, url) {
  const lost = [h("p", {}, "This deletes the group, for ever:"),
    h("ul", {}, h("li", {}, `how far it has read in ${count(partitions.length, "partition")}`), active > 0 && h("li", {}, `${count(active, "active member")}: each is fenced and commits nothing more`)),
    h("p", { class: "muted" }, "No record is deleted. A group of this name that reads again begins where it says it wants to.")]
  if (!(await confirmed(`Delete the group ${group}?`, lost, active ? "Fence members and delete" : "Delete group", group))) return
  try {
    await remove(active ? `${url}?force=true` : url)
    announce(`Group ${group} is deleted`)
    go(link("/groups"))
  } catch (error) {
    dialog("Not deleted", () => [notice(error)])
  }
}

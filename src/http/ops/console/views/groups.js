// All consumer groups, a page at a time.

import { each, get, path, query } from "../api.js"
import { h, replace } from "../dom.js"
import { duration, number } from "../format.js"
import { repeat } from "../poll.js"
import { groupLink, link } from "../router.js"
import { code, curl, javascript, snippets } from "../snippets.js"
import { complain, empty, explained, lede, table } from "../ui.js"
import { note } from "../rates.js"

/** Groups on a page. */
const PAGE = 25
const EVERY_MS = 3000

const COLUMNS = [
  { label: "Group", word: "group" }, { label: "State", word: "state of a group" }, { label: "Members", word: "member", kind: "figure" },
  { label: "Lag", word: "lag", kind: "figure" }, { label: "Oldest waits", word: "oldest waits", kind: "figure" }, { label: "Shares out", word: "strategy", kind: "text" },
]

/** Tokens of the pages that led to one. */
const before = new Map()

export function groupsView(main, { after = "" }, signal) {
  const shown = table("Groups", COLUMNS)
  const list = h("div", { class: "panel flush" }, h("p", { class: "loading muted" }, "Loading …"))
  const pages = h("nav", { class: "pages", "aria-label": "Pages of groups" })
  const same = snippets()
  const url = "/v1/groups" + query({ limit: PAGE, page_token: after })
  same.set(() => [["curl", curl({ url })], ["JavaScript", javascript({ url })]])
  replace(main,
    h("div", { class: "title" }, h("h1", { tabindex: "-1" }, "Consumer groups")),
    lede("A ", h("strong", {}, "group"), " is a set of programs that share the work on a topic. Each partition is read by one of them at a time, and the group remembers how far it has come."),
    list, pages, same.element)

  repeat(EVERY_MS, signal, async () => {
    try {
      const page = await get(url, { signal })
      const details = await each(page.groups, group => get(path("/v1/groups", group.group), { signal }))
      if (signal.aborted) return
      if (page.groups.length === 0) {
        if (!list.querySelector(".empty")) replace(list, firstGroup())
      } else {
        shown.show(page.groups.map((group, i) => groupRow(shown, group, details[i])))
        if (!list.contains(shown.element)) replace(list, shown.element)
      }
      const next = page.next_page_token
      if (next) before.set(next, after)
      const shownPages = `${after} ${next ?? ""}`
      if (pages.dataset.shown !== shownPages) replace(pages, after && h("a", { class: "button", href: link("/groups", { after: before.get(after) }) }, "← Previous"),
        next && h("a", { class: "button", href: link("/groups", { after: next }) }, "Next →"))
      pages.dataset.shown = shownPages
    } catch (error) {
      if (!signal.aborted) complain(list, error)
    }
  })
}

function groupRow(shown, group, detail) {
  if (detail) note(`group ${group.group}`, { at: Date.now(), lag: detail.lag, lagMs: detail.lag_ms })
  return shown.row(h("a", { href: groupLink(group.group), class: "name" }, group.group), stateOf(group.state), number(group.members),
    detail ? lagOf(detail.lag) : "–", detail ? duration(detail.lag_ms) : "–", group.strategy)
}

export const stateOf = state => h("span", { class: "badge", "data-state": state }, state)

/** A lag, marked if there is some. */
export const lagOf = lag => h("span", { class: lag ? "lagging" : "" }, number(lag))

function firstGroup() {
  const call = { method: "POST", url: "/v1/groups/billing/members/ann/poll", headers: { "content-type": "application/json" }, body: JSON.stringify({ topics: ["clicks"], wait_ms: 5000 }) }
  return empty("No program reads as a group yet",
    h("p", {}, "One call makes a group, joins it and returns records. This is ", explained("a member", "member"), " called ann of the group billing, reading the topic clicks:"),
    code("curl", curl(call)), code("JavaScript", javascript(call)),
    h("p", {}, "To go on, it sends the cursor of the answer: that commits what was read and renews its ", explained("lease", "lease"), "."))
}

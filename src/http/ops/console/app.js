// The console: what stands around every view, and which view an address opens.

import { h, replace } from "./dom.js"
import { begin } from "./metrics.js"
import { link, open, route, topicLink } from "./router.js"
import * as session from "./session.js"
import { wireTheme } from "./theme.js"
import { notice } from "./ui.js"
import { groupView } from "./views/group.js"
import { groupsView } from "./views/groups.js"
import { aboutKey, askForKey } from "./views/key_dialog.js"
import { nodeView } from "./views/node.js"
import { recordPage } from "./views/record.js"
import { topicView } from "./views/topic.js"
import { topicsView } from "./views/topics.js"

const main = document.getElementById("main")

const view = (pattern, show, section, title) =>
  route(pattern, (parameters, query, signal) => {
    document.title = `${title(parameters)} · Tidegate`
    for (const one of document.querySelectorAll("#sections a")) {
      if (one.dataset.section === section) one.setAttribute("aria-current", "page")
      else one.removeAttribute("aria-current")
    }
    show(parameters, query, signal)
  })

view("/", (_, query, signal) => topicsView(main, query, signal), "topics", () => "Topics")
view("/topics", (_, query, signal) => topicsView(main, query, signal), "topics", () => "Topics")
for (const [place, name] of [["", "records"], ["/partitions", "partitions"], ["/settings", "settings"]]) {
  view(`/topics/:topic${place}`, (of, query, signal) => topicView(main, of, query, signal, place), "topics", ({ topic }) => `${topic}: ${name}`)
}
view("/topics/:topic/:partition/:offset", (of, _, signal) => recordPage(main, of, signal), "topics", ({ topic, partition, offset }) => `${topic} ${partition}/${offset}`)
view("/groups", (_, query, signal) => groupsView(main, query, signal), "groups", () => "Groups")
view("/groups/:group", (of, _, signal) => groupView(main, of, signal), "groups", ({ group }) => group)
view("/node", (_, __, signal) => nodeView(main, signal), "node", () => "Node")

const lost = () =>
  replace(main, h("h1", { tabindex: "-1" }, "There is no such page"),
    h("p", { class: "lede" }, "The address leads nowhere. ", h("a", { href: link("/topics") }, "All topics")))

function show() {
  document.querySelectorAll("dialog[open]").forEach(one => one.close())
  try {
    open(lost)
  } catch (error) {
    replace(main, notice(error))
    throw error
  }
}

/** Where a view was opened by a link, reading goes on at its heading. */
function follow() {
  const before = document.title
  const inField = document.activeElement?.matches("input, select, textarea")
  show()
  if (inField) return
  window.scrollTo(0, 0)
  if (document.title !== before) main.querySelector("h1")?.focus({ preventScroll: true })
}

session.setAsker(askForKey)
const keyButton = document.getElementById("key")
const keyLabel = () => keyButton.classList.toggle("has-key", session.key() !== null)
session.onChange(keyLabel)
session.onChange(begin)
keyLabel()
keyButton.addEventListener("click", () => aboutKey(show))
wireTheme(document.getElementById("theme"))
document.getElementById("skip").addEventListener("click", event => {
  event.preventDefault()
  main.focus()
})
addEventListener("hashchange", follow)

// An address such as `/?topic=clicks` names a topic as well.
const named = new URLSearchParams(location.search).get("topic")
if (named && !location.hash) history.replaceState(null, "", "/" + topicLink(named))
show()
begin()

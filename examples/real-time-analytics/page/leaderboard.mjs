// Counts the clicks of a topic, as they come, with the browser's own EventSource.
//
// The counts and the id of the last event that is in them are one object, and are stored as one string. So wherever the page
// goes on, after a lost connection or a reload, each click is counted once: what came after the string was stored is sent again.

const WINDOW_S = 60
const SHOWN = 10
const gateway = new URLSearchParams(location.search).get("gateway") ?? "http://127.0.0.1:8080"
const clicks = new URL("/v1/topics/clicks/records", gateway)
const stored = `leaderboard of ${gateway}`

/** lastEventId: where the stream goes on. totals: page → clicks. seconds: second → page → clicks, of the last minute. */
let board = restore()
let events = follow()
let changed = true
const rows = new Map()

function restore() {
  const { lastEventId, totals, seconds } = JSON.parse(localStorage.getItem(stored) ?? "{}")
  return { lastEventId, totals: new Map(totals), seconds: new Map(seconds?.map(([second, pages]) => [second, new Map(pages)])) }
}

function store() {
  const { lastEventId, totals, seconds } = board
  const entries = [...seconds].map(([second, pages]) => [second, [...pages]])
  localStorage.setItem(stored, JSON.stringify({ lastEventId, totals: [...totals], seconds: entries }))
}

/** Where the stream goes on. The browser sends the id by itself when it connects again; after a reload the page has to. */
function stream() {
  const url = new URL(clicks)
  url.searchParams.set("wait_for_topic", "true")
  if (board.lastEventId) url.searchParams.set("last_event_id", board.lastEventId)
  return url
}

function follow() {
  const events = new EventSource(stream())
  events.onopen = () => say("live", true)
  events.onmessage = event => count(event.lastEventId, JSON.parse(event.data))
  // Clicks that retention dropped before this page came to read them are not counted, but told.
  events.addEventListener("gap", event => say(`some clicks are gone: ${event.data}`))
  events.onerror = () => (events.readyState === EventSource.CONNECTING ? say("connection lost, trying again") : refused())
  return events
}

/** The browser has given up, which it does when it is refused, and does not tell why: fetch does. */
async function refused() {
  const unreachable = { detail: `no answer: is the gateway there, with --cors-origin ${location.origin}?`, retry: "later" }
  const { detail, retry } = await fetch(stream(), { headers: { accept: "text/event-stream" } })
    .then(answer => (answer.ok ? answer.body.cancel().then(() => ({ detail: "trying again", retry: "later" })) : answer.json()))
    .catch(() => unreachable)
  say(detail)
  if (retry !== "never") setTimeout(() => (events = follow()), 2000)
}

function count(lastEventId, { timestamp, value: { page } }) {
  add(board.totals, page)
  const second = Math.floor(timestamp / 1000)
  if (!board.seconds.has(second)) board.seconds.set(second, new Map())
  add(board.seconds.get(second), page)
  board.lastEventId = lastEventId
  changed = true
}

function add(counts, page) {
  counts.set(page, (counts.get(page) ?? 0) + 1)
}

/** page → clicks of the last minute, by the records' timestamps. */
function trending() {
  const begin = Math.floor(Date.now() / 1000) - WINDOW_S
  const recent = new Map()
  for (const [second, pages] of board.seconds) {
    if (second <= begin) board.seconds.delete(second)
    else for (const [page, clicks] of pages) recent.set(page, (recent.get(page) ?? 0) + clicks)
  }
  return recent
}

function show() {
  const recent = trending()
  const of = (counts, page) => counts.get(page) ?? 0
  const most = Math.max(1, ...recent.values())
  const ranked = [...board.totals.keys()].sort(
    (a, b) => of(recent, b) - of(recent, a) || of(board.totals, b) - of(board.totals, a) || a.localeCompare(b))
  const top = ranked.slice(0, SHOWN).map(page => {
    const row = rowOf(page)
    const [, now, total] = row.cells
    now.textContent = of(recent, page)
    now.style.setProperty("--share", `${(100 * of(recent, page)) / most}%`)
    total.textContent = of(board.totals, page)
    return row
  })
  const body = document.querySelector("#board")
  // Rows stay where they are while their order does: nobody clicks on what is just being replaced.
  if (top.length !== body.rows.length || top.some((row, place) => row !== body.rows[place])) body.replaceChildren(...top)

  const all = [...board.totals].sort(([, a], [, b]) => b - a).map(([page, clicks]) => tableRow(page, clicks))
  document.querySelector("#pages").replaceChildren(...all)
  const sum = counts => [...counts.values()].reduce((a, b) => a + b, 0)
  document.querySelector("#total").textContent = sum(board.totals)
  document.querySelector("#recent").textContent = sum(recent)
}

/** The page's row of the leaderboard, made once. */
function rowOf(page) {
  if (!rows.has(page)) {
    const button = document.createElement("button")
    button.textContent = page
    button.onclick = () => click(page)
    const row = tableRow(button, "", "")
    row.cells[1].className = "bar"
    rows.set(page, row)
  }
  return rows.get(page)
}

function tableRow(...contents) {
  const row = document.createElement("tr")
  for (const content of contents) row.insertCell().append(content)
  return row
}

function say(state, live = false) {
  const element = document.querySelector("#state")
  element.textContent = state
  element.classList.toggle("live", live)
}

/** A page may produce, too. */
async function click(page) {
  const answer = await fetch(new URL("/v1/topics/clicks/records", gateway), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ records: [{ key: "this page", value: { page } }] }),
  }).catch(error => ({ ok: false, statusText: String(error) }))
  if (!answer.ok) say(`not clicked: ${answer.statusText}`)
}

document.querySelector("#forget").onclick = () => {
  events.close()
  board = { lastEventId: undefined, totals: new Map(), seconds: new Map() }
  events = follow()
}
// Not at each click: what is not stored yet is sent again.
setInterval(() => {
  show()
  if (changed) store()
  changed = false
}, 500)
addEventListener("pagehide", store)

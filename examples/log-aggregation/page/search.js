// A search over logs that goes on: one EventSource brings the lines since a time and then those that come, and the page
// shows what matches. EventSource comes back by itself behind the last line that it brought, also after the gateway was
// killed: no line is missing, and none is there twice.

const SHOWN_MAX = 500
const KEPT_MAX = 100_000

const gateway = new URLSearchParams(location.search).get("gateway") ?? "http://127.0.0.1:8080"
const form = document.querySelector("form")
const list = document.querySelector("ol")
const status = document.querySelector("[role=status]")

let events, from, lines = [], matches = [], searched = 0, found = 0, shown = true

/** Begins anew: whenever what the gateway is asked for has changed. */
function search() {
  events?.close()
  lines = []
  const { team, service, since } = form.elements
  const teams = team.value ? [team.value] : [...team.options].map(option => option.value).filter(Boolean)
  if (teams.length === 0) return show()
  const query = new URLSearchParams(teams.map(name => ["topic", name]))
  from = since.value ? Date.now() - Number(since.value) * 60_000 : 0
  query.set("from", from || "earliest")
  // The services are the keys: the gateway reads the partition of this one, and sends no other.
  if (service.value) query.set("key", service.value)
  events = new EventSource(`${gateway}/v1/records?${query}`)
  events.onopen = show
  events.onerror = show
  events.onmessage = ({ data }) => take(JSON.parse(data))
  events.addEventListener("gap", ({ data }) => console.warn("retention was faster", data))
  filter()
}

/** Shows those of the lines at hand that match: whenever the text has changed. */
function filter() {
  matches = []
  searched = found = 0
  for (const record of lines) match(record)
  show()
}

function take(record) {
  // A time is a place in the log, from the first line that is as new. Older ones may have been shipped after it.
  if (record.timestamp < from) return
  if (lines.push(record) > KEPT_MAX) lines = lines.slice(KEPT_MAX / 2)
  match(record)
  if (shown) requestAnimationFrame(show)
  shown = false
}

function match(record) {
  searched += 1
  if (!text(record).toLowerCase().includes(form.elements.text.value.toLowerCase())) return
  found += 1
  if (matches.push(record) > 2 * SHOWN_MAX) trim()
}

/** There is order within a service; between services there is the time. */
function trim() {
  matches = matches.sort((one, other) => one.timestamp - other.timestamp).slice(-SHOWN_MAX)
}

function text({ value, value_base64 }) {
  return typeof value === "string" ? value : value_base64 ? atob(value_base64) : JSON.stringify(value)
}

function show() {
  shown = true
  trim()
  list.replaceChildren(...matches.map(record => (record.row ??= row(record))).reverse())
  const state = ["connecting", "live", "gone"][events?.readyState] ?? "no topics logs.* yet: come back later"
  status.textContent = `${found} of ${searched} lines match${found > SHOWN_MAX ? `, the last ${SHOWN_MAX} are shown` : ""}; ${state}`
}

function row(record) {
  const item = document.createElement("li")
  const name = document.createElement("b")
  name.textContent = `${record.topic.slice("logs.".length)}/${record.key ?? ""}`
  const line = document.createElement("span")
  line.textContent = text(record)
  item.className = / ERROR /.test(line.textContent) ? "error" : / WARNING /.test(line.textContent) ? "warning" : ""
  item.append(name, line)
  return item
}

const answer = await fetch(`${gateway}/v1/topics?prefix=logs.&limit=100`)
for (const { topic } of (await answer.json()).topics) {
  form.elements.team.add(new Option(topic.slice("logs.".length), topic))
}
form.addEventListener("submit", event => event.preventDefault())
form.elements.text.addEventListener("input", filter)
for (const name of ["team", "service", "since"]) form.elements[name].addEventListener("change", search)
search()

// The node's figures over the last minutes: `/metrics` is read every two seconds, and what counts up is turned into rates.

import { send } from "./api.js"
import { repeat } from "./poll.js"

const EVERY_MS = 2000
/** Samples that are kept: five minutes. */
const SAMPLES_MAX = 150

const SUMS = [
  "tidegate_produce_records_total", "tidegate_produce_bytes_total", "tidegate_read_records_total", "tidegate_http_requests_total",
  "tidegate_http_refusals_total", "tidegate_http_connections", "tidegate_streams_open", "tidegate_append_queue_writes",
  "tidegate_database_up", "process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds",
]
const HISTOGRAMS = ["tidegate_produce_duration_seconds", "tidegate_commit_duration_seconds"]

const LINE = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/
const LE = /(?:^|,)le="([^"]+)"/

/** What a page of Prometheus' text format says: sums over all labels, and histograms as `[[upper bound, count], …]`. */
export function parse(text) {
  const sums = new Map(SUMS.map(name => [name, 0]))
  const histograms = new Map(HISTOGRAMS.map(name => [name, new Map()]))
  let version = ""
  for (const line of text.split("\n")) {
    const [, name, labels = "", value] = LINE.exec(line) ?? []
    if (!name) continue
    if (sums.has(name)) sums.set(name, sums.get(name) + Number(value))
    else if (name === "tidegate_build_info") version = /version="([^"]*)"/.exec(labels)?.[1] ?? ""
    else if (name.endsWith("_bucket") && histograms.has(name.slice(0, -7))) {
      const buckets = histograms.get(name.slice(0, -7))
      const le = LE.exec(labels)[1]
      const bound = le === "+Inf" ? Infinity : Number(le)
      buckets.set(bound, (buckets.get(bound) ?? 0) + Number(value))
    }
  }
  return { sums, histograms, version }
}

/**
 * The value that a part `share` of what was measured between two samples does not exceed, taken as evenly spread within its
 * bucket; `null` if nothing was measured.
 */
export function quantile(before, after, share) {
  const bounds = [...after.keys()].sort((a, b) => a - b)
  const counts = bounds.map(bound => after.get(bound) - (before.get(bound) ?? 0))
  const all = counts.at(-1)
  if (!(all > 0)) return null
  const wanted = all * share
  const i = counts.findIndex(count => count >= wanted)
  const lower = i === 0 ? 0 : bounds[i - 1]
  if (bounds[i] === Infinity) return lower
  const inside = counts[i] - (i === 0 ? 0 : counts[i - 1])
  const short = wanted - (i === 0 ? 0 : counts[i - 1])
  return lower + (bounds[i] - lower) * (short / inside)
}

/** What became of two samples: rates a second and quantiles in seconds. `null` where the node started anew between them. */
function compare(before, after) {
  const seconds = (after.at - before.at) / 1000
  const restarted = before.sums.get("process_start_time_seconds") !== after.sums.get("process_start_time_seconds")
  const perSecond = name => (restarted ? null : Math.max(0, after.sums.get(name) - before.sums.get(name)) / seconds)
  const share = (name, part) => (restarted ? null : quantile(before.histograms.get(name), after.histograms.get(name), part))
  const sum = name => after.sums.get(name)
  return {
    at: after.at,
    written: perSecond("tidegate_produce_records_total"),
    writtenBytes: perSecond("tidegate_produce_bytes_total"),
    read: perSecond("tidegate_read_records_total"),
    requests: perSecond("tidegate_http_requests_total"),
    refusals: perSecond("tidegate_http_refusals_total"),
    cpu: perSecond("process_cpu_seconds_total"),
    produceP50: share("tidegate_produce_duration_seconds", 0.5),
    produceP99: share("tidegate_produce_duration_seconds", 0.99),
    commitP50: share("tidegate_commit_duration_seconds", 0.5),
    commitP99: share("tidegate_commit_duration_seconds", 0.99),
    connections: sum("tidegate_http_connections"),
    streams: sum("tidegate_streams_open"),
    queued: sum("tidegate_append_queue_writes"),
    memory: sum("process_resident_memory_bytes"),
    databaseUp: sum("tidegate_database_up") === 1,
    startedAt: sum("process_start_time_seconds") * 1000,
    version: after.version,
  }
}

/** The last minutes, oldest first. It is filled while other views are open, too. */
export const history = []

const listeners = new Set()
let running = null
let last = null

/** Begins to look, unless that goes on already. It ends where figures are not for this caller. */
export function begin() {
  if (running) return
  running = new AbortController()
  repeat(EVERY_MS, running.signal, look)
}

/** Calls `tell(error)` after every look, with what went wrong if it did, until `signal` ends. */
export function watch(signal, tell) {
  listeners.add(tell)
  signal.addEventListener("abort", () => listeners.delete(tell))
  begin()
}

async function look() {
  let failure = null
  try {
    // Nobody is asked for a key because of this, unless they look at it.
    const text = await (await send("GET", "/metrics", { quiet: listeners.size === 0 })).text()
    const now = { ...parse(text), at: Date.now() }
    if (last) history.push(compare(last, now))
    last = now
    if (history.length > SAMPLES_MAX) history.shift()
  } catch (error) {
    failure = error
    if (error.status === 401 || error.status === 403) {
      running.abort()
      running = null
    }
  }
  listeners.forEach(tell => tell(failure))
}

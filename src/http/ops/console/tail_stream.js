// The records of a topic as they come: a page of what is there already, then an event stream that goes on behind it. The
// position is known at every moment, so whatever ends the stream (a restart, a ticket that ran out), it goes on with no gap
// and no repeat.

import { path, query, send, sendJson, Unreachable } from "./api.js"
import { pause } from "./poll.js"
import { key as sessionKey } from "./session.js"
import { Item } from "./tail_buffer.js"

/** Records of the page at the beginning. */
const FIRST_MAX = 500
/** How long before its end a ticket is renewed; one that lives for less than twice that, after half of its life. */
const RENEW_BEFORE_MS = 60_000
/** Bounds of the wait before asking again where there was no answer. */
const AGAIN_MS = [1000, 4000]

/** Where a tail reads: `{ topic, from, partition, offset, key }`. */
export function address({ topic, partition, offset, key }) {
  const byOffset = offset !== undefined && offset !== ""
  return byOffset
    ? { url: path("/v1/topics", topic, "partitions", partition, "records"), filter: { key } }
    : { url: path("/v1/topics", topic, "records"), filter: { partition, key } }
}

/** What a tail begins with, as parameters. */
export const beginning = ({ from, offset }) => (offset !== undefined && offset !== "" ? { offset } : { from })

export class TailStream {
  #spec
  #handlers
  #source = null
  #renewal = 0
  #over = new AbortController()
  /** The cursor behind the last record that was handed out. */
  position = null

  /**
   * `handlers`: `items(list)` gets records in order, `state(name)` one of `connecting`, `live`, `reconnecting`; `gap(text)` is told
   * what retention has dropped; `refused(problem)` ends it.
   */
  constructor(spec, handlers) {
    this.#spec = spec
    this.#handlers = handlers
  }

  /** Begins, or goes on from `position`. */
  async start(position = null) {
    this.position = position
    this.#handlers.state("connecting")
    const { signal } = this.#over
    while (!signal.aborted) {
      try {
        await this.#catchUp(signal)
        await this.#open()
        return
      } catch (error) {
        if (signal.aborted) return
        const passing = error instanceof Unreachable || error.status === 503 || error.status === 429
        if (!passing) return this.#handlers.refused(error)
        this.#handlers.state("reconnecting")
        const [least, most] = AGAIN_MS
        await pause(least + Math.random() * (most - least), signal)
      }
    }
  }

  stop() {
    this.#over.abort()
    this.#close()
  }

  /** Reads a page, which also says in words why a stream would be refused: an EventSource cannot tell. */
  async #catchUp(signal) {
    const { url, filter } = address(this.#spec)
    const where = this.position ? { cursor: this.position } : beginning(this.#spec)
    const parameters = { ...where, ...filter, max_records: FIRST_MAX, wait_for_topic: true, format: "ndjson" }
    try {
      const answer = await send("GET", url + query(parameters), { signal })
      const lines = (await answer.text()).split("\n").filter(line => line !== "")
      if (signal.aborted) return
      this.position = answer.headers.get("tidegate-cursor")
      if (lines.length) this.#handlers.items(lines.map(line => new Item(line, this.position)))
    } catch (error) {
      if (error.code !== "offset_expired" || !error.body.cursor) throw error
      this.#handlers.gap(error.message)
      this.position = error.body.cursor
    }
  }

  async #open() {
    const { signal } = this.#over
    const { url, filter } = address(this.#spec)
    let ticket
    if (sessionKey()) {
      const body = JSON.stringify({ topic: this.#spec.topic })
      const answer = await send("POST", "/v1/tickets", { headers: { "content-type": "application/json" }, body, signal })
      const made = await answer.json()
      ticket = made.ticket
      // By the clock of the node that made it: the one here may be off by more than a ticket's life.
      const life = made.expires_at - (Date.parse(answer.headers.get("date")) || Date.now())
      this.#renewal = setTimeout(() => this.#again(), Math.max(life - RENEW_BEFORE_MS, life / 2))
    }
    if (signal.aborted) return
    const parameters = { ...filter, wait_for_topic: true, format: "sse", last_event_id: this.position, ticket }
    const source = new EventSource(url + query(parameters))
    this.#source = source
    source.onopen = () => this.#handlers.state("live")
    source.onmessage = event => {
      this.position = event.lastEventId
      this.#handlers.items([new Item(event.data, event.lastEventId)])
    }
    source.addEventListener("gap", event => {
      this.position = event.lastEventId
      const { partition, requested_offset: from, log_start_offset: to } = JSON.parse(event.data)
      this.#handlers.gap(`Retention has dropped offsets ${from} to ${to - 1} of partition ${partition} before they were read.`)
    })
    source.onerror = () => {
      this.#handlers.state("reconnecting")
      // Refused for good, as the browser sees it: find out why, and go on if that has passed.
      if (source.readyState === EventSource.CLOSED) this.#again()
    }
  }

  #again() {
    this.#close()
    if (!this.#over.signal.aborted) this.start(this.position)
  }

  #close() {
    clearTimeout(this.#renewal)
    this.#source?.close()
    this.#source = null
  }
}

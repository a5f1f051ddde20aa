// Calls of the gateway. A refusal is thrown as a `Problem`, with the sentence of the gateway; a call that had no answer as
// `Unreachable`. A call that needs a key asks for it once and is sent again.

import * as session from "./session.js"

/** A refusal (RFC 9457). */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? body.title ?? `The answer was ${status}.`)
    Object.assign(this, { status, code: body.code ?? "", title: body.title ?? `Status ${status}`, retry: body.retry, body })
  }
}

/** No answer came. */
export class Unreachable extends Error {
  constructor() {
    super("The gateway does not answer. Is it running, and can this browser reach it?")
    this.title = "No answer"
    this.code = "unreachable"
  }
}

/** `/v1/topics/a%2Fb` from `path("/v1/topics", "a/b")`. */
export const path = (...segments) => segments.map((part, i) => (i === 0 ? part : "/" + encodeURIComponent(part))).join("")

/** `?a=b&c=d`, without what is undefined, null or empty. */
export function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "")
  return given.length ? "?" + given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&") : ""
}

/** Sends a request and returns its answer if that is a 2xx. `quiet` does not ask for a key. */
export async function send(method, url, { body, headers = {}, signal, quiet = false } = {}) {
  for (;;) {
    const key = session.key()
    const all = key ? { ...headers, authorization: `Bearer ${key}` } : headers
    const answer = await fetch(url, { method, headers: all, body, signal, cache: "no-store" }).catch(error => {
      throw error.name === "AbortError" ? error : new Unreachable()
    })
    if (answer.ok) return answer
    const problem = await read(answer)
    if (answer.status !== 401 || quiet) throw problem
    // Another call may have got a key meanwhile.
    if (session.key() === key && !(await session.ask(key))) throw problem
  }
}

async function read(answer) {
  const text = await answer.text().catch(() => "")
  try {
    return new Problem(answer.status, JSON.parse(text))
  } catch {
    return new Problem(answer.status, { title: `Status ${answer.status}`, detail: text.slice(0, 200) || undefined })
  }
}

const json = async answer => (answer.status === 204 ? null : answer.json())

export const get = async (url, options) => json(await send("GET", url, options))

/** Sends `value` as JSON. */
export const sendJson = async (method, url, value, options = {}) =>
  json(await send(method, url, { ...options, headers: { "content-type": "application/json" }, body: JSON.stringify(value) }))

export const remove = async url => json(await send("DELETE", url))

/** Runs `work` on every item, at most four at a time: a browser has six connections, and streams need some. A failure is `null`. */
export async function each(items, work) {
  const results = new Array(items.length).fill(null)
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const i = next++
      results[i] = await work(items[i]).catch(() => null)
    }
  }
  await Promise.all(Array.from({ length: Math.min(4, items.length) }, worker))
  return results
}

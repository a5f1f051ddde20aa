// A serverless function that takes an order: it writes one event and is gone. It holds no connection and no state, and needs
// nothing but Node 20.
//
// Between it and the log anything may break, before or after the event was written. So it sends the same bytes with the same
// idempotency key until it has an answer, and whoever invokes it may do the same: the event is written once.

const gateway = process.env.TIDEGATE_URL ?? "http://127.0.0.1:8080"
/** How long it tries. Platforms end a function after some time; better it says so itself. */
const PATIENCE_MS = 20_000
const ANSWER_MS = 5_000

/** Takes `{"body": "<an order as JSON>"}`, as platforms hand over a request; returns `{"statusCode", "body"}`. */
export async function handler(event) {
  const order = JSON.parse(event.body)
  // All of it is made of the order alone, with no clock and no chance in it: invoked again for the same order, the function
  // makes the same bytes. The same key with other bytes is refused.
  const cloudEvent = {
    specversion: "1.0",
    id: order.id,
    source: "/shop",
    type: "shop.order.placed",
    time: order.placed_at,
    datacontenttype: "application/json",
    data: { customer: order.customer, cds: order.cds, dollars: order.dollars },
  }
  // Equal keys stay in order: a customer's orders are in one partition.
  const url = `${gateway}/v1/topics/orders/values?key=${encodeURIComponent(order.customer)}`
  const { status, body } = await send(url, {
    method: "POST",
    headers: { "content-type": "application/cloudevents+json", "idempotency-key": order.id },
    body: JSON.stringify(cloudEvent),
  })
  return { statusCode: status, body: JSON.stringify(body) }
}

/** Sends until there is an answer that is final, or no time is left. */
async function send(url, request) {
  const end = Date.now() + PATIENCE_MS
  for (let tries = 1; ; tries++) {
    const answer = await once(url, request)
    if (answer.ok) return { status: 201, body: { ...answer.body, tries, replayed: answer.replayed } }
    if (!answer.again) return { status: 502, body: { detail: answer.detail, tries } }
    // Twice as long each time, and by chance, so that all who were refused at once do not come back at once.
    const pause = Math.max(answer.retryAfterMs, Math.random() * Math.min(2_000, 50 * 2 ** tries))
    if (Date.now() + pause > end) return { status: 503, body: { detail: answer.detail, tries } }
    await new Promise(next => setTimeout(next, pause))
  }
}

/** One attempt, and whether the same may be sent again. */
async function once(url, request) {
  try {
    const response = await fetch(url, { ...request, signal: AbortSignal.timeout(ANSWER_MS) })
    const text = await response.text()
    if (response.ok) return { ok: true, body: JSON.parse(text), replayed: response.headers.has("idempotency-replayed") }
    return { ...judged(response, text), detail: `${response.status} ${text}` }
  } catch (error) {
    // No answer, or half of one: written or not. The key makes it safe to send again.
    return { again: true, retryAfterMs: 0, detail: String(error.cause ?? error) }
  }
}

function judged(response, text) {
  const retryAfterMs = 1000 * (Number(response.headers.get("retry-after")) || 0)
  if (!response.headers.get("content-type")?.startsWith("application/problem+json")) {
    // Not the gateway's: something between it and us.
    return { again: response.status >= 500 || response.status === 429, retryAfterMs }
  }
  // "later": not written. "same_key": nobody knows. "never": it would be refused again.
  return { again: ["later", "same_key"].includes(JSON.parse(text).retry), retryAfterMs }
}

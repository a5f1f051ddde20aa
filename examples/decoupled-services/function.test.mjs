// What the function makes of each kind of answer. The gateway is played by a server that answers as it is told.

import assert from "node:assert/strict"
import { once } from "node:events"
import { createServer } from "node:http"
import { after, test } from "node:test"

const problem = (status, retry, headers = {}) => ({ status, type: "application/problem+json", body: { retry }, headers })
const written = (headers = {}) => ({ status: 201, type: "application/json", body: { partition: 0, offset: 7 }, headers })
const order = { id: "order-0001", placed_at: "1997-01-01T00:00:00Z", customer: "00004", cds: 2, dollars: 29.33 }

const requests = []
let answers = []
const server = createServer(async (request, response) => {
  const body = String(Buffer.concat(await request.toArray()))
  requests.push({ key: request.headers["idempotency-key"], url: request.url, body })
  const answer = answers.shift()
  if (!answer) return request.socket.destroy()
  response.writeHead(answer.status, { "content-type": answer.type, ...answer.headers })
  response.end(typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body))
}).listen(0, "127.0.0.1")
await once(server, "listening")
process.env.TIDEGATE_URL = `http://127.0.0.1:${server.address().port}`
const { handler } = await import("./function.mjs")

/** Invokes the function while the server gives these answers; `null` is none. */
async function invoked(...script) {
  answers = script
  requests.length = 0
  const { statusCode, body } = await handler({ body: JSON.stringify(order) })
  return { statusCode, ...JSON.parse(body) }
}

after(() => server.close())

test("an event is a CloudEvent under its own id as the key", async () => {
  assert.equal((await invoked(written())).statusCode, 201)
  const [{ key, url, body }] = requests
  assert.equal(key, "order-0001")
  assert.equal(url, "/v1/topics/orders/values?key=00004")
  assert.deepEqual(JSON.parse(body), {
    specversion: "1.0",
    id: "order-0001",
    source: "/shop",
    type: "shop.order.placed",
    time: "1997-01-01T00:00:00Z",
    datacontenttype: "application/json",
    data: { customer: "00004", cds: 2, dollars: 29.33 },
  })
})

test("what is lost, unknown, busy or broken on the way is sent again: the same bytes, the same key", async () => {
  const badGateway = { status: 502, body: "<h1>502 Bad Gateway</h1>", type: "text/html" }
  const replayed = written({ "idempotency-replayed": "true" })
  const busy = problem(429, "later", { "retry-after": "1" })
  const result = await invoked(null, problem(500, "same_key"), badGateway, busy, replayed)
  assert.deepEqual([result.statusCode, result.tries, result.replayed], [201, 5, true])
  assert.equal(new Set(requests.map(({ key, url, body }) => key + url + body)).size, 1)
})

test("what can never be written is not sent again", async () => {
  const { statusCode, tries } = await invoked(problem(422, "never"), written())
  assert.deepEqual([statusCode, tries], [502, 1])
})

test("a wait that is longer than the function may live is left to whoever invoked it", async () => {
  const { statusCode, tries } = await invoked(problem(503, "later", { "retry-after": "3600" }), written())
  assert.deepEqual([statusCode, tries], [503, 1])
})

// A bad network before the gateway at TIDEGATE_URL: every second request breaks: before the gateway gets it, or after it has
// answered, with no answer or with the 502 of a proxy that knows no better. It prints where it is.

import { createServer } from "node:http"

const fates = ["answered", "lost", "answered", "bad gateway", "answered", "unanswered"]
let count = 0

const server = createServer(async (request, response) => {
  const fate = fates[count++ % fates.length]
  const body = await request.toArray()
  if (fate === "lost") return request.socket.destroy()

  const { host, connection, ...headers } = request.headers
  const passedOn = { method: request.method, headers, body: Buffer.concat(body) }
  const answer = await fetch(process.env.TIDEGATE_URL + request.url, passedOn).catch(() => null)
  if (!answer) return request.socket.destroy()
  const text = await answer.text()
  if (fate === "unanswered") return request.socket.destroy()
  if (fate === "bad gateway") return response.writeHead(502, { "content-type": "text/html" }).end("<h1>502 Bad Gateway</h1>")
  const { "content-length": length, "transfer-encoding": coding, ...passed } = Object.fromEntries(answer.headers)
  response.writeHead(answer.status, passed).end(text)
})
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`))

// A bad network before the gateway at TIDEGATE_URL. Every second request breaks: before the gateway gets it, or after it has
// answered, with no answer or with the 502 of a proxy that knows no better. It prints where it is.

import { createServer } from "node:http"

const fates = ["answered", "lost", "answered", "bad gateway", "answered", "unanswered"]
let count = 0

const server = createServer((request, response) => {
  // Where the gateway does not answer, nobody does.
  pass(request, response, fates[count++ % fates.length]).catch(() => request.socket.destroy())
})
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`))

async function pass(request, response, fate) {
  const { method, url } = request
  const { host, connection, ...headers } = request.headers
  const body = Buffer.concat(await request.toArray())
  if (fate === "lost") throw new Error(fate)

  const answer = await fetch(process.env.TIDEGATE_URL + url, { method, headers, body })
  const text = await answer.text()
  if (fate === "unanswered") throw new Error(fate)
  if (fate === "bad gateway") return response.writeHead(502, { "content-type": "text/html" }).end("<h1>502 Bad Gateway</h1>")
  const { "content-length": length, "transfer-encoding": coding, ...passed } = Object.fromEntries(answer.headers)
  response.writeHead(answer.status, passed).end(text)
}

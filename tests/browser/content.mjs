// Topics and groups as they might be, for looking at.

const USERS = ["ann", "bob", "chloe", "dmitri", "emeka", "fatima"]
const PAGES = ["/home", "/pricing", "/docs", "/cart", "/checkout"]

/** A click of a shop's page; the same for the same number. */
const click = i => {
  const user = USERS[(i * 7 + (i >> 3)) % USERS.length]
  return { key: user, headers: { trace: (0x9e3779b1 * (i + 1) >>> 0).toString(16) }, value: { page: PAGES[(i * 3 + (i >> 2)) % PAGES.length], user, ms: (i * 97) % 900 } }
}

const order = i => ({
  key: `customer-${(i * 5) % 17}`,
  value: { order: 41000 + i, total: ((i * 7919) % 20000) / 100, currency: "EUR", items: [{ sku: `TG-${100 + (i % 40)}`, quantity: 1 + (i % 3) }], gift: i % 5 === 0 },
})

const list = (n, of, from = 0) => Array.from({ length: n }, (_, i) => of(from + i))

/** Fills a gateway: five topics, of which one has bytes. */
export async function fill(tidegate) {
  await tidegate.call("PUT", "/v1/topics/clicks", { partition_count: 4 })
  await tidegate.call("PUT", "/v1/topics/orders", { partition_count: 3, retention_ms: 30 * 86_400_000 })
  await tidegate.call("PUT", "/v1/topics/payments.settled", { partition_count: 6, retention_bytes: 1 << 30 })
  await tidegate.call("POST", "/v1/topics/clicks/records", { records: list(2400, click) })
  await tidegate.call("POST", "/v1/topics/orders/records", { records: list(640, order) })
  await tidegate.call("POST", "/v1/topics/payments.settled/records", { records: list(480, i => ({ key: `payment-${i}`, value: { order: 41000 + i, settled: true } })) })
  const raw = (path, type, body) => fetch(tidegate.url + path, { method: "POST", headers: { "content-type": type }, body })
  await raw("/v1/topics/thumbnails/values?key=avatar-7", "image/png", Uint8Array.from([137, 80, 78, 71, 13, 10, 26, 10, ...list(150, i => (i * 37 + (i >> 3)) % 256)]))
  await raw("/v1/topics/audit-log/values", "text/plain", "ann signed in from 192.0.2.7")
}

/** Goes on writing, and reading as the group `billing` with two members, until `signal` ends. */
export async function live(tidegate, signal) {
  let clicks = 2400, orders = 640
  const wait = ms => new Promise(next => setTimeout(next, ms))
  const writing = async () => {
    for (let round = 0; !signal.aborted; round++) {
      const n = 3 + Math.round(4 * (1 + Math.sin(round / 12)) + 2 * Math.sin(round / 3))
      await tidegate.call("POST", "/v1/topics/clicks/records", { records: list(Math.max(1, n), click, clicks) })
      clicks += n
      // Orders come in waves, so that readers fall behind and catch up.
      const some = round % 48 < 12 ? 7 : round % 4 === 0 ? 1 : 0
      if (some) await tidegate.call("POST", "/v1/topics/orders/records", { records: list(some, order, orders) })
      orders += some
      await wait(250)
    }
  }
  const member = async name => {
    const path = `/v1/groups/billing/members/${name}/poll`
    let { cursor } = await tidegate.call("POST", path, { topics: ["orders"], max_records: 4, lease_ms: 12_000 })
    while (!signal.aborted) {
      await wait(1100)
      cursor = (await tidegate.call("POST", path, { cursor, max_records: 7 })).cursor
    }
  }
  await tidegate.call("PUT", "/v1/groups/search-index/offsets", { topic: "clicks", to: "latest" })
  await tidegate.call("PUT", "/v1/groups/billing/offsets", { topic: "orders", to: "-20" })
  const ended = error => { if (!signal.aborted) throw error }
  await Promise.all([writing(), member("worker-1"), member("worker-2")].map(work => work.catch(ended)))
}

// One gateway and one Chromium for a test; both end with it. The gateway is the real binary on a data directory of its own.

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { createRequire } from "node:module"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

import { chromium } from "playwright-core"

/** The binary under test: TIDEGATE_BIN, else the one that `cargo build` leaves. */
const BINARY = process.env.TIDEGATE_BIN
  ?? join(process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL("../../target", import.meta.url)), "debug/tidegate")

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

/** How long anything may take before a test gives up, in milliseconds. Generous: the machine may be busy. */
export const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 60_000)

/** A gateway with `flags`, which ends with the test `t`. */
export async function gateway(t, { flags = [], env = {} } = {}) {
  const directory = await mkdtemp(join(tmpdir(), "tidegate-browser-"))
  const it = new Gateway(directory, flags, env)
  t.after(async () => {
    await it.kill()
    await rm(directory, { recursive: true, force: true })
  })
  await it.start(`127.0.0.1:${await freePort()}`)
  return it
}

/**
 * A port below those that the system gives to clients: one that calls again and again while the gateway is down would
 * sooner or later be given the gateway's own.
 */
async function freePort() {
  for (;;) {
    const server = createServer()
    server.listen(20_000 + Math.floor(Math.random() * 12_000), "127.0.0.1")
    try {
      await once(server, "listening")
    } catch {
      continue // taken
    }
    const { port } = server.address()
    await new Promise(closed => server.close(closed))
    return port
  }
}

class Gateway {
  #directory
  #flags
  #env
  #process
  /** Where it is, such as http://127.0.0.1:4711. The same after a restart. */
  url

  constructor(directory, flags, env) {
    this.#directory = directory
    this.#flags = flags
    this.#env = env
  }

  async start(listen) {
    const flags = ["serve", "--listen", listen, "--data-dir", this.#directory, ...this.#flags]
    const child = spawn(BINARY, flags, { env: { ...process.env, ...this.#env }, stdio: ["ignore", "pipe", "pipe"] })
    this.#process = child
    let complaints = ""
    child.stderr.on("data", chunk => (complaints = (complaints + chunk).slice(-10_000)))
    for await (const line of createInterface({ input: child.stdout })) {
      const ready = /^listening on (\S+)$/.exec(line)
      if (!ready) continue
      this.url = ready[1]
      child.stdout.resume()
      return
    }
    throw new Error(`the gateway did not start: ${complaints}`)
  }

  /** Ends it as a crash would. */
  async kill() {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    this.#process.kill("SIGKILL")
    await once(this.#process, "exit")
  }

  /** Starts it again at the same address, with what it has on disk. */
  async restart() {
    await this.kill()
    await this.start(new URL(this.url).host)
  }

  /** Calls the API; anything but a 2xx fails the test. */
  async call(method, path, body, headers = {}) {
    if (body) headers = { "content-type": "application/json", ...headers }
    const answer = await fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) })
    const text = await answer.text()
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`)
    return text && JSON.parse(text)
  }
}

/**
 * A Chromium that ends with the test `t`. `page(options)` opens a page in a context of its own (nothing shared: no
 * cookies, no session) and collects what it complains of; `page.complaints` are those.
 */
export async function browser(t) {
  const chrome = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update"],
  })
  t.after(() => chrome.close())
  return {
    async page(options = {}) {
      const context = await chrome.newContext(options)
      context.setDefaultTimeout(PATIENCE_MS)
      const page = await context.newPage()
      const complaints = []
      page.on("console", message => {
        if (["error", "warning"].includes(message.type())) complaints.push(message.text())
      })
      page.on("pageerror", error => complaints.push(String(error)))
      page.complaints = complaints
      return page
    },
  }
}

/** What axe-core finds wrong with a page as it is, in WCAG 2.2 AA and its own best practices; empty if all is well. */
export async function barriers(page) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(AXE)
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }))
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(node => `${node.html.slice(0, 160)} ${node.failureSummary}`).join(" | ")}`)
}

/** The complaints of a page, without what Chromium says of every answer that is no success, or of none. */
export const complaints = page => page.complaints.filter(text => !text.startsWith("Failed to load resource"))

/** Waits until `condition` gives something true, and returns it. */
export async function eventually(what, condition) {
  const end = Date.now() + PATIENCE_MS
  for (;;) {
    const found = await condition()
    if (found) return found
    assert.ok(Date.now() < end, `never came: ${what}`)
    await new Promise(next => setTimeout(next, 25))
  }
}

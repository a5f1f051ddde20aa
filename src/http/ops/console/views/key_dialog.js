// Asks for the key that the gateway is called with, says who one is with it, and forgets it.

import { get, Problem } from "../api.js"
import { h, replace } from "../dom.js"
import * as session from "../session.js"
import { dialog, field, notice } from "../ui.js"

/** Asks for a key; resolves to whether one was given that is good. `refused` is one that was not. */
export const askForKey = refused =>
  new Promise(resolve => {
    let given = false
    dialog("This gateway asks for a key", close => {
      const key = h("input", { type: "password", required: true, autocomplete: "off", spellcheck: "false", autofocus: true })
      const answer = h("div", { role: "status" }, refused && h("p", { class: "notice bad" }, "The key was refused: it is wrong, or it has ended."))
      const submit = async event => {
        event.preventDefault()
        try {
          const headers = { authorization: `Bearer ${key.value.trim()}` }
          const who = await fetch("/v1/whoami", { headers, cache: "no-store" })
          if (!who.ok) throw new Problem(who.status, await who.json())
          session.keep(key.value.trim())
          given = true
          close()
        } catch (error) {
          replace(answer, notice(error.status === 401 ? new Problem(401, { title: "Refused.", detail: "The gateway does not know this key." }) : error))
        }
      }
      return h("form", { onsubmit: submit },
        h("p", {}, "Calls need an API key (", h("code", {}, "tg_…"), "), the operator's key, or a token of your issuer."),
        field("Key", key, { hint: "Kept in this tab until it is closed, and sent to this gateway only. Never in a URL." }),
        answer, h("div", { class: "actions" }, h("button", { class: "primary" }, "Use this key"), h("button", { type: "button", onclick: close }, "Not now")))
    }, { onclose: () => resolve(given) })
  })

/** Shows who the caller is, and lets them forget the key or take another. */
export function aboutKey(again) {
  dialog("Key", close => {
    const body = h("div", {}, h("p", { class: "muted" }, "Asking …"))
    const forget = () => {
      session.forget()
      close()
      again()
    }
    const other = async () => {
      close()
      if (await askForKey()) again()
    }
    get("/v1/whoami", { quiet: true }).then(
      who => replace(body, whoIs(who)),
      error => replace(body, error.status === 401 ? h("p", {}, "This gateway asks for a key.") : notice(error)))
    return [body, h("div", { class: "actions" },
      h("button", { type: "button", class: "primary", onclick: other }, session.key() ? "Use another key" : "Give a key"),
      session.key() && h("button", { type: "button", onclick: forget }, "Forget key"))]
  })
}

function whoIs({ name, authenticated, permissions }) {
  if (!authenticated) return h("p", {}, "No key is needed: everybody on this machine may do everything. From the first key on, every call needs one.")
  const rows = permissions.map(({ verb, topic, group }) => h("li", {}, h("b", {}, verb), verb === "metrics" ? "" : [" on topics ", h("code", {}, topic)], group && [", groups ", h("code", {}, group)]))
  return [h("p", {}, "You are ", h("b", {}, name), ". You may:"), h("ul", {}, rows),
    h("p", { class: "hint" }, session.key() ? "The key is kept in this tab until it is closed." : "")]
}

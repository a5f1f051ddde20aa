// The key that the gateway is called with. It is in this tab's session and nowhere else: not in a URL, not in what other
// tabs or the next visit see.

const NAME = "tidegate.key"

const listeners = new Set()

export const key = () => sessionStorage.getItem(NAME)

export function keep(text) {
  sessionStorage.setItem(NAME, text)
  listeners.forEach(tell => tell())
}

export function forget() {
  sessionStorage.removeItem(NAME)
  listeners.forEach(tell => tell())
}

/** Calls `tell` whenever the key changes. */
export const onChange = tell => listeners.add(tell)

let asking = null

/** What asks the person for a key; set once, by the dialog. Resolves to whether there is one now. */
let askPerson = async () => false

export const setAsker = ask => (askPerson = ask)

/** Asks once, however many calls were refused at the same moment. `refused` is the key that was no good, if any. */
export function ask(refused) {
  asking ??= askPerson(refused).finally(() => (asking = null))
  return asking
}

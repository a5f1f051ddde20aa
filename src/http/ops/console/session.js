// The key that the gateway is called with. It is in this tab's session and nowhere else: not in a URL, not in what other
// tabs or the next visit see.

const NAME = "tidegate.key"

const listeners = new Set()

export const key = () => sessionStorage.getItem(NAME)

export function keep(text) {
  sessionStorage.setItem(NAME, text)
  declined = false
  listeners.forEach(tell => tell())
}

export function forget() {
  sessionStorage.removeItem(NAME)
  declined = false
  listeners.forEach(tell => tell())
}

/** Calls `tell` whenever the key changes. */
export const onChange = tell => listeners.add(tell)

let asking = null
/** Whoever said “not now” is not asked again, until they ask for it. */
let declined = false

/** What asks the person for a key; set once, by the dialog. Resolves to whether there is one now. */
let askPerson = async () => false

export const setAsker = ask => (askPerson = ask)

/** Asks once, however many calls were refused at the same moment. `refused` is the key that was no good, if any. */
export async function ask(refused) {
  if (declined) return false
  asking ??= askPerson(refused).finally(() => (asking = null))
  const given = await asking
  declined = !given
  return given
}

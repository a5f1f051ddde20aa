// The address of a view is in the fragment, `#/topics/clicks?from=earliest`: so reload, back, forward and bookmarks work, and
// the gateway serves one page.

const routes = []

/** `pattern` is such as `/topics/:topic`; `open(parameters, query, signal)` shows the view. `signal` ends with it. */
export const route = (pattern, open) => routes.push({ parts: pattern.split("/"), open })

/** The fragment that leads to a place. */
export function link(place, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "")
  return `#${place}${given.length ? "?" + new URLSearchParams(given) : ""}`
}

export const topicLink = (topic, rest = "", parameters = {}) => link(`/topics/${encodeURIComponent(topic)}${rest}`, parameters)
export const groupLink = (group, parameters = {}) => link(`/groups/${encodeURIComponent(group)}`, parameters)

export const go = fragment => {
  location.hash = fragment
}

/** Changes what is after the `?` of the address, without opening the view anew. */
export function remember(parameters) {
  const [place] = location.hash.slice(1).split("?")
  history.replaceState(null, "", link(place, parameters))
}

let current = null

/** Opens what the address says; `lost` is opened where it says nothing known. */
export function open(lost) {
  const [place, search = ""] = location.hash.slice(1).split("?")
  const parts = (place || "/").replace(/(.)\/$/, "$1").split("/")
  current?.abort()
  current = new AbortController()
  for (const { parts: pattern, open: show } of routes) {
    const parameters = match(pattern, parts)
    if (parameters) return show(parameters, Object.fromEntries(new URLSearchParams(search)), current.signal)
  }
  return lost()
}

function match(pattern, parts) {
  if (pattern.length !== parts.length) return null
  const parameters = {}
  for (const [i, wanted] of pattern.entries()) {
    if (wanted.startsWith(":")) {
      if (parts[i] === "") return null
      try {
        parameters[wanted.slice(1)] = decodeURIComponent(parts[i])
      } catch {
        return null
      }
    } else if (wanted !== parts[i]) return null
  }
  return parameters
}

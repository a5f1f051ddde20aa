// JSON as text. A record's value is kept token by token (9007199254740993 and 1e400 stay what they are), and so it has to be
// shown: nothing here turns a number into a double and back.

const SPACE = /[ \t\n\r]*/y
const SCALAR = /[^\s,:[\]{}"]+/y

/** The tokens of a valid JSON text, one by one: `{ kind, text }`, kind is one of `{}[],:` or string, number, word. */
export function* tokens(text) {
  let at = 0
  const take = pattern => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found) at = pattern.lastIndex
    return found?.[0]
  }
  for (;;) {
    take(SPACE)
    if (at >= text.length) return
    const first = text[at]
    if ("{}[],:".includes(first)) {
      at++
      yield { kind: first, text: first }
    } else if (first === '"') {
      const end = endOfString(text, at)
      yield { kind: "string", text: text.slice(at, end) }
      at = end
    } else {
      const scalar = take(SCALAR)
      yield { kind: /^[-0-9]/.test(scalar) ? "number" : "word", text: scalar }
    }
  }
}

/** Where the string that begins at `from` ends. By hand: a pattern needs stack for a string of a megabyte. */
function endOfString(text, from) {
  let at = from + 1
  while (text[at] !== '"') {
    if (at >= text.length) throw new SyntaxError("a string without an end")
    at += text[at] === "\\" ? 2 : 1
  }
  return at + 1
}

/** Names and texts of the members of an object, as they stand there; of a name that comes twice the last. */
export function members(text) {
  const found = new Map()
  let depth = 0, name = null, value = ""
  for (const { kind, text: token } of tokens(text)) {
    if (kind === "{" || kind === "[") depth++
    if (depth === 1 && name === null && kind === "string") {
      name = JSON.parse(token)
      continue
    }
    const closes = kind === "}" || kind === "]"
    if (depth === 1 && (kind === "," || closes)) {
      if (name !== null) found.set(name, value)
      name = null
      value = ""
    } else if (name !== null && !(depth === 1 && kind === ":")) {
      value += token
    }
    if (closes) depth--
  }
  return found
}

/** The text over several lines: parts `{ kind, text }`, where kind is key, string, number, word or mark. */
export function pretty(text) {
  const parts = []
  const put = (kind, piece) => parts.push({ kind, text: piece })
  const all = [...tokens(text)]
  let depth = 0
  const line = () => put("mark", "\n" + "  ".repeat(depth))
  all.forEach(({ kind, text: token }, i) => {
    const next = all[i + 1]?.kind
    switch (kind) {
      case "{":
      case "[":
        depth++
        put("mark", token)
        if (next !== "}" && next !== "]") line()
        break
      case "}":
      case "]": {
        depth--
        const before = all[i - 1].kind
        if (before !== "{" && before !== "[") line()
        put("mark", token)
        break
      }
      case ",":
        put("mark", token)
        line()
        break
      case ":":
        put("mark", ": ")
        break
      default:
        put(kind === "string" && next === ":" ? "key" : kind, token)
    }
  })
  return parts
}

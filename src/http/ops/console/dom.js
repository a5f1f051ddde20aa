// Elements from plain calls. Everything that is shown goes in as text: records are other people's bytes, and nothing here
// ever reads markup.

const SVG = "http://www.w3.org/2000/svg"

/** An HTML element: `h("a", { href: "#/" }, "Topics")`. */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children)

/** The same for SVG. */
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children)

/** Functions become listeners (`onclick`), `true` an empty attribute; `null`, `undefined` and `false` are left out. */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue
    if (typeof value === "function") element.addEventListener(name.slice(2), value)
    else element.setAttribute(name, value === true ? "" : value)
  }
  append(element, children)
  return element
}

function append(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child)
    else if (child !== null && child !== undefined && child !== false) element.append(child)
  }
}

/** Puts `children` in the place of what `element` has. */
export function replace(element, ...children) {
  element.replaceChildren()
  append(element, children)
  return element
}

/** Sets the text of an element if it differs, so that what stands still is not laid out again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

let ids = 0

/** An id that no other element of the page has. */
export const uniqueId = prefix => `${prefix}-${++ids}`

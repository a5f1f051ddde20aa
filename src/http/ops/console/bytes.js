// Bytes to look at.

/** Bytes that a dump shows; the rest is to be downloaded. */
export const DUMP_BYTES_MAX = 4096

export const fromBase64 = text => Uint8Array.from(atob(text), char => char.charCodeAt(0))

/** A dump as `hexdump -C` prints it: offset, sixteen bytes, and what of them is printable ASCII. */
export function hexDump(bytes) {
  const lines = []
  for (let at = 0; at < Math.min(bytes.length, DUMP_BYTES_MAX); at += 16) {
    const row = [...bytes.subarray(at, at + 16)]
    const hex = row.map(byte => byte.toString(16).padStart(2, "0"))
    const halves = `${hex.slice(0, 8).join(" ").padEnd(23)}  ${hex.slice(8).join(" ").padEnd(23)}`
    const ascii = row.map(byte => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("")
    lines.push(`${at.toString(16).padStart(8, "0")}  ${halves}  |${ascii}|`)
  }
  return lines.join("\n")
}

/** The bytes as text; what is no UTF-8 shows as the replacement character, what does not print as its picture. */
export function asText(bytes) {
  const text = new TextDecoder().decode(bytes.subarray(0, DUMP_BYTES_MAX))
  return text.replace(/[\u0000-\u0008\u000b-\u001f]/g, char => String.fromCharCode(0x2400 + char.charCodeAt(0)))
}

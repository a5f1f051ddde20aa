// Figures, sizes and times as people read them.

const NUMBER = new Intl.NumberFormat("en")
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false })
const SHORT_TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false })
const DATE_TIME = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hour12: false })

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR

export const number = value => NUMBER.format(value)

/** `1 record`, `2 records`. */
export const count = (value, singular, plural = singular + "s") => `${number(value)} ${value === 1 ? singular : plural}`

/** Three digits that matter: 0.5, 12.3, 4,567. */
export function figure(value) {
  if (value === 0) return "0"
  const size = Math.abs(value)
  if (size >= 100) return NUMBER.format(Math.round(value))
  return String(Number(value.toPrecision(size >= 10 ? 3 : 2)))
}

export const rate = perSecond => `${figure(perSecond)}/s`

export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"]
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value : figure(value)} ${units[unit]}`
}

/** A length of time, given in milliseconds, with the unit that fits: `850 ms`, `4.2 s`, `7 days`. */
export function duration(ms) {
  if (ms < SECOND) return `${figure(ms)} ms`
  if (ms < MINUTE) return `${(ms / SECOND).toFixed(1)} s`
  if (ms < HOUR) return `${figure(ms / MINUTE)} min`
  if (ms < 2 * DAY) return `${figure(ms / HOUR)} h`
  return `${figure(ms / DAY)} days`
}

/** A latency, given in seconds. */
export const latency = seconds => (seconds > 0 && seconds < 0.001 ? `${figure(seconds * 1e6)} µs` : duration(seconds * 1000))

export const retention = ms => (ms < 0 ? "for ever" : duration(ms))

/** How long, and how much of each partition, a topic keeps. */
export const keeps = ({ retention_ms: ms, retention_bytes: size }) => (size < 0 ? retention(ms) : `${retention(ms)}, ${bytes(size)} each`)

export const time = ms => TIME.format(ms)
export const shortTime = ms => SHORT_TIME.format(ms)
export const dateTime = ms => DATE_TIME.format(ms)

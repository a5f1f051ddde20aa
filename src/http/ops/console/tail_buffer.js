// The records that a tail keeps: a bounded number and a bounded size, the oldest go first. Of these, those that match the filter
// are what is shown, newest first.

import { fromBase64 } from "./bytes.js"

/** Records that are kept. */
export const RECORDS_MAX = 5000
/** Characters that they may have together. */
export const CHARS_MAX = 32 << 20

/** One record: the line as it came, and what it says. */
export class Item {
  /** `id` is the cursor behind it, if it came on a stream. */
  constructor(line, id) {
    this.line = line
    this.id = id
    this.record = JSON.parse(line)
  }

  /** Whether what it says has the text, in any case. `wanted` is in lower case. */
  has(wanted) {
    // As JSON has it: a quotation mark in the text is `\"` in the line.
    const escaped = JSON.stringify(wanted).slice(1, -1)
    if (this.line.toLowerCase().includes(escaped)) return true
    const { value_base64: value } = this.record
    return value !== undefined && new TextDecoder().decode(fromBase64(value)).toLowerCase().includes(wanted)
  }
}

export class Buffer {
  #kept = []
  #shown = []
  #chars = 0
  #wanted = ""

  /** Takes items, the oldest first; returns how many of them are shown. */
  add(items) {
    let added = 0
    for (const item of items) {
      this.#kept.push(item)
      this.#chars += item.line.length
      if (this.#matches(item)) {
        this.#shown.push(item)
        added++
      }
    }
    this.#drop()
    return added
  }

  /** Lets the oldest go until the rest fits. */
  #drop() {
    let gone = 0
    while (this.#kept.length - gone > RECORDS_MAX || (this.#chars > CHARS_MAX && this.#kept.length - gone > 1)) {
      this.#chars -= this.#kept[gone].line.length
      gone++
    }
    if (!gone) return
    const dropped = new Set(this.#kept.splice(0, gone))
    let hidden = 0
    while (hidden < this.#shown.length && dropped.has(this.#shown[hidden])) hidden++
    this.#shown.splice(0, hidden)
  }

  #matches(item) {
    return this.#wanted === "" || item.has(this.#wanted)
  }

  /** Shows only records with this text. */
  filter(text) {
    this.#wanted = text.toLowerCase()
    this.#shown = this.#kept.filter(item => this.#matches(item))
  }

  clear() {
    this.#kept = []
    this.#shown = []
    this.#chars = 0
  }

  /** Records kept, shown or not. */
  get kept() {
    return this.#kept.length
  }

  /** Those shown, newest first. */
  get length() {
    return this.#shown.length
  }

  at(index) {
    return index < 0 ? undefined : this.#shown[this.#shown.length - 1 - index]
  }

  indexOf(item) {
    const at = this.#shown.lastIndexOf(item)
    return at < 0 ? -1 : this.#shown.length - 1 - at
  }
}

// How fast topics and groups change, from what was seen of them while the page is open. Kept between views, so that going back
// to one does not begin with nothing.

/** Samples that are kept of one thing. */
const SAMPLES_MAX = 150
/** Things that samples are kept of; the one longest not looked at goes first. */
const THINGS_MAX = 500

const series = new Map()

/** Notes a sample `{ at, … }` of a thing and returns all there are of it, oldest first. */
export function note(thing, sample) {
  const all = series.get(thing) ?? []
  series.delete(thing)
  series.set(thing, all)
  all.push(sample)
  if (all.length > SAMPLES_MAX) all.shift()
  if (series.size > THINGS_MAX) series.delete(series.keys().next().value)
  return all
}

/** Records added a second between the samples, by their `end`; the newest last. A topic that began anew counts as none. */
export function rates(samples) {
  return samples.slice(1).map((sample, i) => {
    const seconds = (sample.at - samples[i].at) / 1000
    return seconds > 0 ? Math.max(0, sample.end - samples[i].end) / seconds : 0
  })
}

/** The mean over the last samples, at most `ms` back; `null` as long as there are not two. */
export function rateNow(samples, ms = 10_000) {
  const last = samples.at(-1)
  const first = samples.find(sample => last.at - sample.at <= ms)
  if (!first || first === last) return null
  return Math.max(0, last.end - first.end) / ((last.at - first.at) / 1000)
}

/** What a topic has in all its partitions. */
export function totals(partitions) {
  const sum = of => partitions.reduce((all, partition) => all + of(partition), 0)
  return { records: sum(p => p.records), bytes: sum(p => p.bytes), end: sum(p => p.high_watermark) }
}

// What the words mean, for those who never heard of a log with topics. One or two plain sentences each.

export const GLOSSARY = {
  topic: "A topic is a named log. Programs add records at its end; nothing is changed or reordered afterwards, and any number of readers may read it, each at its own place, again and again.",
  partition: "A partition is one of the parts that a topic is split into, so that several readers can share the work. Within a partition records keep their order; between partitions there is none.",
  offset: "An offset is the number of a record in its partition: 0, 1, 2 and so on. It is given once and never changes, so a reader only has to remember the next offset to go on exactly where it was.",
  record: "A record is one entry of a topic: a value (JSON, text or bytes), and if you like a key and headers.",
  key: "A key says what a record is about, such as a user or an order. Records with equal keys go to the same partition, so they are read in the order in which they were written.",
  header: "A header is a small name and text beside the value, for example a trace id.",
  tail: "A live tail shows records as they arrive. It is the same event stream that any web page can open.",
  group: "A group is a set of readers that share the work on a topic: each partition is read by one member at a time, and the group remembers how far it has come.",
  member: "A member is one running program of a group. It names itself, and holds the partitions that are assigned to it.",
  lease: "A lease is how long a member may stay silent. Every call of the member renews it. When it has run down, the member's partitions are given to others.",
  epoch: "An epoch counts who held a partition before. A member that comes back with an old epoch is told so, and cannot commit over the work of its successor.",
  lag: "Lag is how many records the group has not committed yet: the distance between its committed offset and the end of the partition.",
  committed: "The committed offset is the next record that the group will read from this partition. Everything before it is done.",
  retention: "Retention is how long, or how many bytes, a topic keeps records. What is older is dropped, from the beginning of the log.",
  rate: "Records added each second, measured while this page is open.",
  p99: "How long it takes until a record is on disk and can be read. p50 is the middle: half were faster. p99 is slow but usual: one in a hundred took longer.",
}
